"""KL divergence against torch's own and against float64."""

import math

import pytest
import torch
from torch.nn import functional

from spin_hub.metrics.kl import kl, token_kl


def logits(seed: int, scale: float = 3.0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (torch.randn(50, 1000, generator=torch.Generator().manual_seed(seed)) * scale).to(dtype)


def by_definition(base: torch.Tensor, edited: torch.Tensor) -> torch.Tensor:
    log_p, log_q = base.double().log_softmax(-1), edited.double().log_softmax(-1)
    return functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_it_is_the_divergence_of_torch(dtype, scale):
    base, edited = logits(0, scale, dtype), logits(1, scale, dtype)
    measured = token_kl(base, edited)
    assert (measured.dtype, tuple(measured.shape)) == (torch.float32, (50,))
    torch.testing.assert_close(measured.double(), by_definition(base, edited), rtol=2e-5, atol=1e-6)


def test_a_tiny_divergence_is_not_lost_in_rounding():
    base = logits(0)
    edited = base + 1e-3 * logits(1, 1.0)
    truth = by_definition(base, edited)
    assert 1e-8 < float(truth.min()) < float(truth.max()) < 1e-5
    torch.testing.assert_close(token_kl(base, edited).double(), truth, rtol=0.02, atol=1e-7)
    assert float(token_kl(base, edited).double().mean()) == pytest.approx(float(truth.mean()), rel=0.01)


def test_a_model_against_itself_has_exactly_none():
    assert not token_kl(logits(0), logits(0).clone()).any()


def test_it_is_never_negative_and_ignores_a_shift_of_all_logits():
    measured = token_kl(logits(0), logits(0) + 5)
    assert float(measured.min()) >= 0
    assert float(measured.max()) < 1e-6


def test_the_base_comes_first():
    base, edited = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])
    assert float(token_kl(base, edited)) == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))
    assert float(token_kl(edited, base)) == pytest.approx(0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))


def test_certainty_that_moves_is_large_and_finite():
    base, edited = torch.tensor([[300.0, 0.0]]), torch.tensor([[0.0, 300.0]])
    assert float(token_kl(base, edited)) == pytest.approx(300)


def test_logits_are_left_as_they_were():
    base, edited = logits(0), logits(1)
    token_kl(base, edited)
    assert torch.equal(base, logits(0))
    assert torch.equal(edited, logits(1))


def test_the_mean_is_over_tokens_and_the_interval_never_below_zero():
    estimate = kl([0.0, 9.0], [2, 1])
    assert (estimate.value, estimate.low, estimate.n) == (3.0, 0.0, 2)
    assert estimate.high > 3
    assert kl([1.0], [4]).low is None
