"""What a norm computes, whatever its equation: shapes, gradients, where residual and ReLU go, layouts."""

from __future__ import annotations

import copy

import torch

from gnexp.config import NormConfig
from gnexp.contracts.cases import CHANNELS, CLOSE, SHAPE, Tensor, difference, draw, make, state_of


def keeps_shape_and_dtype(config: NormConfig) -> None:
    """Images and videos, in single and double precision."""
    for shape in (SHAPE, (4, CHANNELS, 2, 3, 2)):
        for dtype in (torch.float32, torch.float64):
            y = make(config).to(dtype)(draw(*shape).to(dtype))
            assert y.shape == shape, f"{shape} became {tuple(y.shape)}"
            assert y.dtype == dtype, f"{dtype} became {y.dtype}"
            assert bool(y.isfinite().all()), f"{shape} in {dtype} has values that are not finite"


def has_the_gradient_of_what_it_computes(config: NormConfig) -> None:
    """By torch's gradcheck, of x, the residual and every parameter that trains."""
    norm = make(config)
    parameters = {name: p for name, p in norm.named_parameters() if p.requires_grad}

    def call(x: Tensor, residual: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(parameters, values, strict=True))
        given |= {name: buffer.clone() for name, buffer in norm.named_buffers()}  # each call starts alike
        y: Tensor = torch.func.functional_call(norm, given, (x, residual))
        return y

    shape = (4, CHANNELS, 2, 1)
    inputs = [draw(*shape), draw(*shape, seed=2), *(p.detach().clone() for p in parameters.values())]
    assert torch.autograd.gradcheck(call, [value.requires_grad_() for value in inputs])


def adds_the_residual_before_relu(config: NormConfig) -> None:
    """A norm with an activation of its own says itself where the residual goes."""
    x, residual = draw(), draw(seed=2)
    y = make(config, relu=True)(x, residual=residual)
    if config.own_activation:
        assert difference(y, make(config, relu=True)(x)) > CLOSE, "the residual changes nothing"
        return
    expected = (make(config)(x) + residual).relu()
    assert difference(y, expected) < CLOSE, "y is not relu(norm(x) + residual)"
    assert difference(make(config, relu=True)(x), make(config)(x).relu()) < CLOSE, "y is not relu(norm(x))"


def leaves_its_inputs_alone(config: NormConfig) -> None:
    """Both belong to the caller: a block adds the same tensor again."""
    x, residual = draw(), draw(seed=2)
    before = x.clone(), residual.clone()
    make(config, relu=True)(x, residual=residual)
    assert torch.equal(x, before[0]), "x was changed in place"
    assert torch.equal(residual, before[1]), "the residual was changed in place"


def is_deterministic(config: NormConfig) -> None:
    """Equal layers give equal bits, in training and in evaluation."""
    norm = make(config)
    other = copy.deepcopy(norm)
    for mode in (True, False):
        first, second = norm.train(mode)(draw()), other.train(mode)(draw())
        assert torch.equal(first, second), "two equal layers gave different bits"


def does_the_same_in_every_layout(config: NormConfig) -> None:
    """What is channels_last stays it, or the next convolution would copy."""
    x = draw()
    y = make(config)(x.contiguous(memory_format=torch.channels_last))
    assert difference(y, make(config)(x)) < CLOSE, "channels_last gives other values than contiguous"
    assert y.is_contiguous(memory_format=torch.channels_last), "channels_last came back in another layout"


def learns_nothing_from_no_images(config: NormConfig) -> None:
    """A detector's heads get none where there are no regions of interest, in training and in evaluation."""
    norm = make(config)
    before = state_of(norm)
    for mode in (True, False):
        x = draw(0, *SHAPE[1:]).requires_grad_()
        y = norm.train(mode)(x, draw(0, *SHAPE[1:]))
        assert y.shape == x.shape, f"no images became {tuple(y.shape)}"
        y.sum().backward()
    for name, parameter in norm.named_parameters():
        is_zero = parameter.grad is None or not bool(parameter.grad.any())  # NaN is any
        assert is_zero, f"{name} has a gradient from no images: {parameter.grad}"
    for name, value in state_of(norm).items():
        assert torch.equal(value, before[name]), f"{name} has changed by no images: {value}"
