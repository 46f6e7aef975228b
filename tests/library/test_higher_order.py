"""The norms as modules under autograd's second gradients and torch.func's transforms, where torch's own norms work."""

import pytest
import torch
from torch import nn

import gnexp

# Of 35 positions, at which layer norm has gradients of its own.
SHAPES = [(2, 8, 2, 3), (2, 8, 5, 7)]
# Batch renorm has no place among them: no gradient goes through its correction, which differences see nevertheless.
NORMS = {
    "GroupNorm": lambda **more: gnexp.GroupNorm(2, 8, **more),
    "GroupRMSNorm": lambda **more: gnexp.GroupRMSNorm(2, 8, **more),
    "LayerNorm2d": lambda **more: gnexp.LayerNorm2d(8, **more),
    "FilterResponseNorm": lambda **more: gnexp.FilterResponseNorm(8, **more),
    "EvoNormS0": lambda **more: gnexp.EvoNormS0(2, 8, **more),
    "GhostBatchNorm": lambda **more: gnexp.GhostBatchNorm(8, **more),
}


def randn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(module: nn.Module) -> nn.Module:
    """In float64, with parameters that are no ones and zeros."""
    module = module.double()
    with torch.no_grad():
        for place, parameter in enumerate(module.parameters()):
            parameter.copy_(randn(*parameter.shape, seed=20 + place))
    return module


@pytest.mark.parametrize("has_residual", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NORMS)
def test_second_gradients(name, shape, has_residual):
    norm = drawn(NORMS[name](relu=True))
    inputs = [randn(*shape) + 20, *([randn(*shape, seed=2)] if has_residual else [])]
    keys, parameters = zip(*norm.named_parameters(), strict=True)

    def call(x, *rest):
        residual, own = rest[: len(rest) - len(keys)], rest[len(rest) - len(keys) :]
        state = {key: value.clone() for key, value in norm.named_buffers()}  # running statistics stay
        return torch.func.functional_call(
            norm, {**dict(zip(keys, own, strict=True)), **state}, (x, *residual)
        )

    leaves = [value.detach().requires_grad_() for value in (*inputs, *parameters)]
    assert torch.autograd.gradgradcheck(call, leaves, fast_mode=True)
