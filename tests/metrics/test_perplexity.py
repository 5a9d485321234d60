"""Perplexity against a mean worked out by hand."""

import math

import pytest
import torch

from spin_hub.core.stats import mean_per_token
from spin_hub.metrics.perplexity import perplexity, token_nll


def test_it_is_exp_of_the_mean_over_all_tokens():
    estimate = perplexity([1.0, 2.0 + 3.0 + 4.0], [1, 3])
    assert estimate.value == pytest.approx(math.exp((1 + 2 + 3 + 4) / 4))
    assert estimate.n == 2


def test_its_interval_is_that_of_the_mean_negative_log_likelihood():
    totals, counts = [1.0, 5.0, 2.5, 8.0], [2, 3, 1, 6]
    nll, estimate = mean_per_token(totals, counts), perplexity(totals, counts)
    assert (estimate.low, estimate.high) == (pytest.approx(math.exp(nll.low)), pytest.approx(math.exp(nll.high)))
    assert estimate.low > 0


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary():
    nll = token_nll(torch.zeros(6, 260), torch.arange(6))
    assert perplexity(nll.tolist(), [1] * 6).value == pytest.approx(260, rel=1e-5)


def test_one_example_has_no_interval():
    estimate = perplexity([2.0], [2])
    assert (estimate.value, estimate.low, estimate.high) == (pytest.approx(math.e), None, None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_likelihood_of_every_token_by_definition(dtype):
    logits = (torch.randn(20, 50, generator=torch.Generator().manual_seed(0)) * 4).to(dtype)
    labels = torch.arange(20)
    expected = [-math.log(row.double().softmax(-1)[label]) for row, label in zip(logits, labels, strict=True)]
    measured = token_nll(logits, labels)
    assert measured.dtype == torch.float32
    assert measured.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)
