"""Norms that are made on the meta device, without memory, and get it later."""

import pytest
import torch
from torch import nn

import gnexp
from tests.library.test_higher_order import NORMS as SOME

NORMS = {**SOME, "BatchRenorm": lambda **more: gnexp.BatchRenorm(8, **more)}


def with_memory(norm: nn.Module) -> nn.Module:
    """Memory as one may get it: full of what somebody left there."""
    norm = norm.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*norm.parameters(), *norm.buffers()):
            tensor.fill_(77)
    return norm


def assert_equal_norms(found: nn.Module, wanted: nn.Module) -> None:
    assert found.state_dict().keys() == wanted.state_dict().keys()
    x = torch.randn(4, 8, 7, 7, generator=torch.Generator().manual_seed(1)) + 3
    for is_training in (True, False):
        assert torch.equal(found.train(is_training)(x), wanted.train(is_training)(x))
    for key, value in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[key], value)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", NORMS)
def test_loaded_after_to_empty(name, affine):
    wanted = NORMS[name](affine=affine)
    with torch.no_grad():
        for place, parameter in enumerate(wanted.parameters()):
            parameter.add_(0.1 * place)
    found = with_memory(NORMS[name](affine=affine, device="meta"))
    found.load_state_dict(wanted.state_dict())
    assert_equal_norms(found, wanted)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", NORMS)
def test_reset_after_to_empty(name, affine):
    found = with_memory(NORMS[name](affine=affine, device="meta"))
    found.reset_parameters()
    assert_equal_norms(found, NORMS[name](affine=affine))


@pytest.mark.parametrize("name", NORMS)
def test_without_an_affine_map_weight_and_bias_are_none_as_torchs(name):
    norm = NORMS[name](affine=False)
    assert norm.weight is None and norm.bias is None
    assert norm(torch.randn(2, 8, 3, 3).bfloat16()).dtype == torch.bfloat16
    assert norm.bfloat16()(torch.randn(2, 8, 3, 3).bfloat16()).isfinite().all()


def test_a_norm_without_a_bias_can_be_reset():
    norm = gnexp.GroupNorm(2, 8, bias=False)
    with torch.no_grad():
        norm.weight.fill_(3)
    norm.reset_parameters()
    assert norm.weight.tolist() == [1] * 8


def test_a_tensor_that_is_not_known_is_not_reset_in_silence():
    norm = gnexp.LayerNorm2d(8)
    norm.shift = nn.Parameter(torch.zeros(8))
    with pytest.raises(ValueError, match="^LayerNorm2d has no reset_parameters that knows its shift"):
        norm.reset_parameters()
