import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from spin_hub.scoring.attention import Float32Attention


def heads(dtype):
    torch.manual_seed(0)
    return [torch.randn(2, 3, 5, 8).to(dtype).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("masked", [False, True])
def test_half_precision_is_computed_in_float32(dtype, masked):
    query, key, value = heads(dtype)
    mask = torch.full((5, 5), -torch.inf, dtype=dtype).triu(1) if masked else None
    with Float32Attention():
        found = scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=not masked, scale=0.3)
    wide = [part.detach().float().requires_grad_() for part in (query, key, value)]
    expected = scaled_dot_product_attention(*wide, is_causal=True, scale=0.3)
    assert found.dtype == dtype
    assert torch.equal(found, expected.to(dtype))
    gradient = torch.randn_like(found)
    found.backward(gradient)
    expected.backward(gradient.float())
    for narrow, part in zip((query, key, value), wide, strict=True):
        assert torch.equal(narrow.grad, part.grad.to(dtype))


def test_float32_and_all_else_is_left_alone():
    query, key, value = heads(torch.float32)
    with Float32Attention():
        found = scaled_dot_product_attention(query, key, value, is_causal=True)
        assert torch.ones(2, dtype=torch.bfloat16).add(1).dtype == torch.bfloat16
    assert torch.equal(found, scaled_dot_product_attention(query, key, value, is_causal=True))
