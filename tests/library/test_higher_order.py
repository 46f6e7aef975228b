"""The norms as modules under autograd's second gradients and torch.func's transforms, where torch's own norms work."""

import pytest
import torch
from torch import nn

import gnexp
from gnexp.ops import fused
from gnexp.ops.group_norm import group_norm

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


def loss_of(norm):
    """The loss of one sample, as a function of the parameters; the norm's running statistics stay."""

    def loss(parameters, x, *residual):
        buffers = {key: value.clone() for key, value in norm.named_buffers()}
        y = torch.func.functional_call(
            norm, {**parameters, **buffers}, (x[None], *(r[None] for r in residual))
        )
        return y.sin().sum()

    return loss


@pytest.mark.parametrize("has_residual", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(3, 8, 2, 3), (3, 8, 40, 40)], ids=str)
@pytest.mark.parametrize("name", NORMS)
def test_gradients_per_sample(name, shape, relu, has_residual):
    """As differential privacy takes them: each sample's own, in one call; they are what one call a sample gives."""
    norm = drawn(NORMS[name](relu=relu)).eval()
    loss, parameters = loss_of(norm), {key: value.detach() for key, value in norm.named_parameters()}
    x, residual = randn(*shape) + 20, [randn(*shape, seed=2)] * has_residual
    found = torch.vmap(torch.func.grad(loss), in_dims=(None, *[0] * (1 + has_residual)))(
        parameters, x, *residual
    )
    for place in range(len(x)):
        y = norm(x[place, None], *(r[place, None] for r in residual))
        # EvoNorm has no use for its v where a residual comes.
        expected = torch.autograd.grad(y.sin().sum(), list(norm.parameters()), materialize_grads=True)
        own = [found[key][place] for key in parameters]
        torch.testing.assert_close(own, list(expected), rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script` is deprecated:FutureWarning"
)  # torch's own, of its jvp
@pytest.mark.parametrize(
    "transform", [torch.func.grad, torch.func.jacrev, torch.func.jacfwd, torch.func.hessian]
)
@pytest.mark.parametrize("name", NORMS)
def test_transforms_of_the_input(name, transform):
    """With a mean far from zero, more pixels and more rows than any op takes the plain way for."""
    norm, x = drawn(NORMS[name](relu=True)).eval(), randn(600, 8, 2, 1)

    def loss(scale, shift):
        return norm(x * scale + 100 * shift).sin().sum()

    ones = torch.ones((), dtype=torch.float64)
    found = transform(loss)(ones, ones)
    leaf = ones.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf, ones), leaf, create_graph=True)
    if transform is torch.func.hessian:
        (expected,) = torch.autograd.grad(expected, leaf)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", NORMS)
def test_a_residual_alone_can_be_mapped(name):
    norm = drawn(NORMS[name](relu=True)).eval()
    x, residuals = randn(2, 8, 2, 3), randn(4, 2, 8, 2, 3, seed=2)
    found = torch.vmap(norm, in_dims=(None, 0))(x, residuals)
    torch.testing.assert_close(found, torch.stack([norm(x, residual) for residual in residuals]))


def test_far_from_zero_a_samples_gradient_stays_right():
    """At mean/std 1000, where torch's own, which sums uncentered values, is off by 1.7e-4."""
    norm, x, dy = (
        drawn(gnexp.GroupNorm(2, 8)),
        (randn(2, 8, 112, 112) + 1000).float(),
        randn(8, 112, 112, seed=4),
    )

    def loss(parameters, x):
        return (torch.func.functional_call(norm, parameters, (x[None],)) * dy.to(x.dtype)).sum()

    gradients = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))
    parameters = {key: value.detach() for key, value in norm.named_parameters()}
    wanted = gradients(parameters, x.double())
    found = gradients({key: value.float() for key, value in parameters.items()}, x)
    for key, value in wanted.items():
        assert float((found[key] - value).abs().max()) < 1e-4 * float(value.abs().max())


def test_half_precision_per_sample():
    norm, x = drawn(gnexp.GroupNorm(2, 8)).bfloat16(), randn(3, 8, 40, 40).bfloat16()
    parameters = {key: value.detach() for key, value in norm.named_parameters()}
    found = torch.vmap(torch.func.grad(loss_of(norm)), in_dims=(None, 0))(parameters, x)
    assert all(value.dtype == torch.bfloat16 and value.isfinite().all() for value in found.values())


@pytest.mark.skipif(not fused.is_interpreting(), reason="by Triton's interpreter")
def test_the_kernels_give_way_to_a_transform():
    pytest.importorskip("triton")
    x, weight = randn(3, 8, 2, 3), randn(8, seed=2)

    def loss(weight, x):
        return group_norm(x[None], 2, weight, impl="fused").sin().sum()

    found = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(weight, x)
    for place in range(len(x)):
        leaf = weight.clone().requires_grad_()
        torch.testing.assert_close(found[place], *torch.autograd.grad(loss(leaf, x[place]), leaf))
