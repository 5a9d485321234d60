import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from spin_hub.scoring import importance as module
from spin_hub.scoring.importance import add_absolute_products, importance, top_weights


def by_autograd(layer, examples):
    """The sum over examples of the absolute gradient of a plain linear layer."""
    sums = torch.zeros(layer.weight.shape, dtype=layer.weight.dtype)
    for inputs, labels in examples:
        (gradient,) = torch.autograd.grad(functional.cross_entropy(layer(inputs), labels), layer.weight)
        sums += gradient.abs()
    return sums


def from_outputs(layer, examples):
    """The same from gradients at the outputs."""
    sums = torch.zeros(layer.weight.shape, dtype=layer.weight.dtype)
    for inputs, labels in examples:
        outputs = layer(inputs)
        (delta,) = torch.autograd.grad(functional.cross_entropy(outputs, labels), outputs)
        add_absolute_products(sums, delta, inputs, [(0, len(inputs))])
    return sums


@pytest.mark.parametrize("lengths", [[1], [7], [3, 1, 12], [2] * 20])
def test_sums_are_those_of_autograd_per_example(lengths):
    torch.manual_seed(len(lengths))
    layer = nn.Linear(6, 5, bias=False, dtype=torch.float64)
    examples = [(torch.randn(length, 6, dtype=torch.float64), torch.randint(5, (length,))) for length in lengths]
    torch.testing.assert_close(from_outputs(layer, examples), by_autograd(layer, examples), rtol=1e-12, atol=1e-15)


def test_gradients_of_opposite_sign_do_not_cancel():
    sums, inputs = torch.zeros(1, 2), torch.tensor([[3.0, -4.0]])
    for sign in (1.0, -1.0):
        add_absolute_products(sums, torch.tensor([[sign]]), inputs, [(0, 1)])
    assert sums.tolist() == [[6.0, 8.0]]


def test_tokens_of_one_example_add_before_the_absolute_value():
    sums = torch.zeros(1, 1)
    add_absolute_products(sums, torch.tensor([[1.0], [-1.0]]), torch.tensor([[3.0], [2.0]]), [(0, 2)])
    assert sums.item() == 1.0


def by_definition(left, right, segments):
    return sum((left[start:stop].T @ right[start:stop]).abs() for start, stop in segments)


@pytest.fixture(params=[(1, 1), (10, 1), (1, 3), (1 << 20, 384)])
def block(request, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", request.param[0])
    monkeypatch.setattr(module, "_ROWS", request.param[1])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(1, 9), st.integers(1, 9))
def test_products_of_segments_are_added_as_absolute_values(lengths, rows, columns):
    total = sum(lengths)
    left, right = torch.randn(total, rows, dtype=torch.float64), torch.randn(total, columns, dtype=torch.float64)
    ends = [sum(lengths[: number + 1]) for number in range(len(lengths))]
    segments = [(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    sums = torch.ones(rows, columns, dtype=torch.float64)
    add_absolute_products(sums, left, right, segments)
    torch.testing.assert_close(sums, 1 + by_definition(left, right, segments))


def test_blocks_of_rows_change_nothing(block):
    left, right = torch.randn(12, 7), torch.randn(12, 4)
    segments = [(0, 5), (7, 12)]
    sums = torch.zeros(7, 4)
    add_absolute_products(sums, left, right, segments)
    torch.testing.assert_close(sums, by_definition(left, right, segments))


def test_tokens_outside_all_segments_do_not_count():
    left, right = torch.ones(4, 1), torch.ones(4, 1)
    left[2] = torch.nan
    sums = torch.zeros(1, 1)
    add_absolute_products(sums, left, right, [(0, 2), (3, 4)])
    assert sums.item() == 3.0


def test_products_in_half_precision_are_summed_in_float32():
    sums, one = torch.full((1, 1), 256.0), torch.ones(2, 1, dtype=torch.bfloat16)
    add_absolute_products(sums, one, one, [(0, 1), (1, 2)])
    assert sums.item() == 258.0  # bfloat16 would have stayed at 256


def test_sums_in_the_dtype_of_the_model_stay_in_it():
    sums, one = torch.full((1, 1), 256.0, dtype=torch.bfloat16), torch.ones(2, 1, dtype=torch.bfloat16)
    add_absolute_products(sums, one, one, [(0, 1), (1, 2)])
    assert (sums.item(), sums.dtype) == (256.0, torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_importance_is_the_absolute_weight_times_the_sums(dtype):
    weight, sums = torch.randn(4, 3).to(dtype), torch.rand(4, 3)
    expected = weight.float().abs() * sums
    assert torch.equal(importance(weight, sums.clone()), expected)


def test_importance_overwrites_the_sums_and_returns_them():
    sums = torch.ones(2, 2)
    assert importance(torch.full((2, 2), -3.0), sums) is sums
    assert sums.tolist() == [[3.0, 3.0], [3.0, 3.0]]


def test_importance_of_a_trained_parameter_carries_no_gradient():
    assert not importance(nn.Parameter(torch.ones(2, 2)), torch.ones(2, 2)).requires_grad


def best(scores, count):
    return sorted(range(len(scores)), key=lambda place: (-scores[place], place))[:count]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@given(scores=st.lists(st.integers(-3, 3), max_size=40))
def test_the_top_weights_are_the_highest_then_the_earliest(dtype, scores):
    order = best(scores, len(scores))
    for count in range(len(scores) + 1):
        assert top_weights(torch.tensor(scores, dtype=dtype), count)[0].tolist() == order[:count]


@given(st.lists(st.integers(0, 2), min_size=30, max_size=400), st.integers(0, 5))
def test_ties_across_blocks_go_to_the_earliest(scores, count):
    assert top_weights(torch.tensor(scores, dtype=torch.float32), count)[0].tolist() == best(scores, count)


@given(st.lists(st.integers(0, 3), max_size=40), st.data())
def test_the_scores_come_with_the_indices(scores, data):
    flat = torch.tensor(scores, dtype=torch.float32)
    indices, values = top_weights(flat, data.draw(st.integers(0, len(scores))))
    assert torch.equal(values, flat[indices])


@pytest.fixture(scope="module", params=["all different", "many ties"])
def large(request):
    generator = torch.Generator().manual_seed(1)
    if request.param == "many ties":
        return torch.randint(0, 50, (301, 257), generator=generator).float()
    return torch.rand(301, 257, generator=generator)


def test_the_top_weights_of_a_large_matrix_are_the_highest_then_the_earliest(large):
    flat = large.flatten().tolist()
    order = best(flat, len(flat))
    for count in (0, 1, 2, 10, 49, 1_000, 40_000, len(flat) - 1, len(flat)):
        assert top_weights(large, count)[0].tolist() == order[:count]


def test_a_weight_behind_the_last_whole_block_can_be_the_best():
    scores = torch.zeros(5 * 1024 + 3)
    scores[-1] = 1.0
    assert top_weights(scores, 2)[0].tolist() == [5 * 1024 + 2, 0]


def test_indices_are_int64_and_scores_keep_their_type():
    indices, values = top_weights(torch.ones(3, 3, dtype=torch.bfloat16), 4)
    assert (indices.dtype, indices.shape) == (torch.int64, (4,))
    assert (values.dtype, values.shape) == (torch.bfloat16, (4,))


def test_the_scores_are_left_alone():
    scores = torch.rand(5, 7)
    before = scores.clone()
    top_weights(scores, 9)
    assert torch.equal(scores, before)
