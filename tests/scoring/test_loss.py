import pytest
import torch
from architectures import examples_of, model_of
from torch.nn import functional

from spin_hub.models.batches import make_batches
from spin_hub.scoring import hooks
from spin_hub.scoring.hooks import backward_from_loss


def gradients(model, batch, run):
    """The gradient at the final norm's output, where a graph is begun."""
    caught = []

    def begin(_, __, output):
        caught.append(output.detach().requires_grad_())
        return caught[-1]

    handle = model.model.norm.register_forward_hook(begin)
    run(model, batch)
    handle.remove()
    return caught[0].grad


def by_definition(model, batch):
    logits = model(input_ids=batch.ids).logits[batch.owner, batch.place]
    losses = functional.cross_entropy(logits.double(), batch.labels, reduction="none")
    (losses * batch.share).sum().backward()


@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
@pytest.mark.parametrize(("name", "dtype"), [("llama", torch.float64), ("gemma2", torch.float32)])
def test_it_is_that_of_the_mean_cross_entropy_of_every_example(name, dtype, chunk, monkeypatch):
    monkeypatch.setattr(hooks, "_CHUNK", chunk)
    model = model_of(name, dtype)
    (batch,) = make_batches(examples_of(1), 1000)
    found = gradients(model, batch, lambda *given: backward_from_loss(*given, "a"))
    torch.testing.assert_close(found, gradients(model, batch, by_definition), rtol=1e-5, atol=1e-8)


def test_a_model_whose_head_is_not_known_gives_all_logits(monkeypatch):
    model = model_of("llama")
    batch = next(make_batches(examples_of(3), 1000))
    expected = gradients(model, batch, lambda *given: backward_from_loss(*given, "a"))
    monkeypatch.setattr(type(model), "get_output_embeddings", lambda _: None)
    found = gradients(model, batch, lambda *given: backward_from_loss(*given, "a"))
    torch.testing.assert_close(found, expected)


def test_it_is_rounded_to_half_precision_once():
    model = model_of("llama", torch.bfloat16)
    (batch,) = make_batches(examples_of(1), 1000)
    found = gradients(model, batch, lambda *given: backward_from_loss(*given, "a"))
    expected = gradients(model, batch, by_definition)
    assert float((found - expected).norm() / expected.norm()) < 0.01
