import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from spin_hub.models.forward import FastAttention

HALF = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


def heads(dtype, tokens=5):
    torch.manual_seed(0)
    return [torch.randn(2, 3, tokens, 8).to(dtype).requires_grad_() for _ in range(3)]


def with_gradients(parts, **options):
    output = scaled_dot_product_attention(*parts, **options)
    gradient = torch.arange(output.numel()).cos().reshape(output.shape).to(output.dtype)
    return output.detach(), *torch.autograd.grad(output, parts, gradient)


@HALF
@pytest.mark.parametrize("tokens", [5, 256, 257])
@pytest.mark.parametrize("options", [{}, {"scale": 0.3}])
def test_causal_attention_is_that_of_float64_but_for_rounding(dtype, tokens, options):
    parts = heads(dtype, tokens)
    with FastAttention():
        found = with_gradients(parts, is_causal=True, **options)
    expected = with_gradients([part.detach().double().requires_grad_() for part in parts], is_causal=True, **options)
    for narrow, wide in zip(found, expected, strict=True):
        assert narrow.dtype == dtype
        assert float((narrow.double() - wide).norm() / wide.norm()) < (0.01 if dtype == torch.bfloat16 else 0.002)


@HALF
@pytest.mark.parametrize("kind", ["bool", "float", "none", "gqa", "longer keys"])
def test_all_other_attention_is_computed_in_float32(dtype, kind):
    query, key, value = (part.detach() for part in heads(dtype))
    options = {}
    if kind == "bool":
        options["attn_mask"] = torch.ones(5, 5, dtype=torch.bool).tril()
    elif kind == "float":
        options["attn_mask"] = torch.full((5, 5), -torch.inf, dtype=dtype).triu(1)
    elif kind == "gqa":
        key, value, options = key[:, :1], value[:, :1], {"enable_gqa": True, "is_causal": True}
    elif kind == "longer keys":
        query, options = query[:, :, :3], {"is_causal": True}
    with FastAttention():
        found = scaled_dot_product_attention(query, key, value, **options)
    if kind == "float":
        options["attn_mask"] = options["attn_mask"].float()
    expected = scaled_dot_product_attention(query.float(), key.float(), value.float(), **options)
    assert torch.equal(found, expected.to(dtype))


def test_float32_and_all_else_is_left_alone():
    query, key, value = heads(torch.float32)
    with FastAttention():
        found = scaled_dot_product_attention(query, key, value, is_causal=True)
        assert torch.ones(2, dtype=torch.bfloat16).add(1).dtype == torch.bfloat16
    assert torch.equal(found, scaled_dot_product_attention(query, key, value, is_causal=True))
