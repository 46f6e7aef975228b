"""Second gradients of every op whose first ones are written down: exact, however they are asked for."""

import itertools
from collections.abc import Callable

import pytest
import torch

from gnexp.ops import composed, reference
from gnexp.ops.channel_layer_norm import channel_layer_norm
from gnexp.ops.evonorm import evonorm_s0
from gnexp.ops.rms import rms_norm

Call = Callable[..., torch.Tensor]
FLAGS = list(itertools.product([False, True], repeat=2))
NUM_GROUPS, EPS = 2, 1e-3
# composed's ways back: torch's own, whatever the values, and over centered values.
PLAIN, CENTERED = "plain", "centered"


def randn(*shape: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def grouped(call: Call, num_parameters: int, **more: object) -> Call:
    """A call that takes x, its parameters and perhaps a residual, in this order."""

    def with_groups(x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        parameters, residual = rest[:num_parameters], rest[num_parameters:]
        return call(x, NUM_GROUPS, *parameters, EPS, *residual, **more)

    return with_groups


def thresholded(call: Call) -> Call:
    def with_threshold(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *rest: torch.Tensor):
        *residual, threshold = rest
        return call(x, x.shape[1], weight, bias, EPS, *residual, threshold=threshold)

    return with_threshold


def per_position(call: Call) -> Call:
    return lambda x, weight, bias: call(x, weight, bias, EPS)


CASES = {
    **{
        f"{name}{', residual' * residual}{', relu' * relu}": (
            grouped(call, 2, relu=relu), grouped(wanted, 2, relu=relu), 2, residual
        )
        for name, call, wanted in [
            ("group_norm", composed.group_norm, reference.group_norm),
            ("rms_norm", rms_norm, reference.rms_norm),
        ]
        for residual, relu in FLAGS
    },
    "thresholded": (thresholded(rms_norm), thresholded(reference.rms_norm), 3, False),
    "thresholded, residual": (thresholded(rms_norm), thresholded(reference.rms_norm), 3, True),
    "evonorm_s0": (grouped(evonorm_s0, 3), grouped(reference.evonorm_s0, 3), 3, False),
    "channel_layer_norm": (
        per_position(channel_layer_norm), per_position(reference.channel_layer_norm), 2, False
    ),
}  # fmt: skip

WAYS = [
    (case, way)
    for case in CASES
    for way in ((PLAIN, CENTERED) if case.startswith("group_norm") else (CENTERED,))
]
on_each_way = pytest.mark.parametrize(("case", "way_back"), WAYS, indirect=["way_back"])


def inputs_of(shape: tuple[int, ...], num_parameters: int, has_residual: bool) -> list[torch.Tensor]:
    """x, weight, bias, a residual if there is one, and what else the op learns."""
    values = [randn(*shape), *(randn(shape[1], seed=2 + place) for place in range(num_parameters))]
    if has_residual:
        values.insert(3, randn(*shape, seed=9))
    return [value.requires_grad_() for value in values]


@pytest.fixture
def way_back(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(composed, "_is_plain", lambda _: request.param == PLAIN)
    monkeypatch.setattr(composed, "_is_near", lambda *_: False)
    return str(request.param)


# Of 35 positions, at which channel_layer_norm has gradients of its own.
@pytest.mark.parametrize("shape", [(2, 4, 5, 7), (3, 4, 3)], ids=str)
@on_each_way
def test_gradgradcheck(case: str, shape: tuple[int, ...], way_back: str) -> None:
    call, _, num_parameters, has_residual = CASES[case]
    inputs = inputs_of(shape, num_parameters, has_residual)
    assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True)


@on_each_way
def test_each_route_gives_the_references_second_gradients(case: str, way_back: str) -> None:
    """By autograd.grad, which prunes what it need not visit, and by .backward, which visits everything."""
    call, wanted, num_parameters, has_residual = CASES[case]

    def outer(norm: Call, inputs: list[torch.Tensor]) -> torch.Tensor:
        x, *rest = inputs
        scale = x.mean((0, 2, 3))  # weight depends on x: neither's gradient may count in the other's
        y = norm(x, rest[0] + scale, *rest[1:])
        first = torch.autograd.grad(y.sin().sum(), inputs, create_graph=True)
        return sum((gradient.square().sum() for gradient in first), start=y.new_zeros(()))

    expected = torch.autograd.grad(
        *_with(outer, wanted, inputs_of((2, 4, 5, 7), num_parameters, has_residual))
    )
    found = torch.autograd.grad(*_with(outer, call, inputs_of((2, 4, 5, 7), num_parameters, has_residual)))
    inputs = inputs_of((2, 4, 5, 7), num_parameters, has_residual)
    outer(call, inputs).backward()
    for a, b, value in zip(found, expected, inputs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(value.grad, b, rtol=1e-9, atol=1e-9)


def _with(
    outer: Callable[[Call, list[torch.Tensor]], torch.Tensor], norm: Call, inputs: list[torch.Tensor]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    return outer(norm, inputs), inputs


@on_each_way
def test_of_one_input_alone(case: str, way_back: str) -> None:
    call, wanted, num_parameters, has_residual = CASES[case]
    for place in range(1 + num_parameters + has_residual):
        found = []
        for norm in (call, wanted):
            inputs = inputs_of((2, 4, 5, 7), num_parameters, has_residual)
            for other in inputs:
                other.requires_grad_(other is inputs[place])
            (first,) = torch.autograd.grad(norm(*inputs).exp().sum(), inputs[place], create_graph=True)
            found.append([first, *torch.autograd.grad(first.square().sum(), inputs[place])])
        torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


@on_each_way
def test_of_half_precision(case: str, way_back: str) -> None:
    call, _, num_parameters, has_residual = CASES[case]
    inputs = [value.detach() for value in inputs_of((2, 4, 5, 7), num_parameters, has_residual)]
    found = []
    for dtype in (torch.bfloat16, torch.float64):
        own = [value.bfloat16().to(dtype).requires_grad_() for value in inputs]
        first = torch.autograd.grad(call(*own).sum(), own, create_graph=True)
        assert all(gradient.dtype == dtype for gradient in first)
        second = torch.autograd.grad(first[0].square().sum() + first[1].square().sum(), own[:2])
        found.append([value.double() for value in second])
    for a, b in zip(*found, strict=True):
        assert float((a - b).norm()) <= 0.05 * float(b.norm()) + 1e-6


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_of_a_compiled_module(shift: float) -> None:
    """As Dynamo leaves it, without AOTAutograd, which has no second gradients and says so itself."""
    weight, bias = randn(4, seed=2).requires_grad_(), randn(4, seed=3).requires_grad_()
    x = (randn(2, 4, 40, 40) + shift).requires_grad_()

    def call(x: torch.Tensor) -> torch.Tensor:
        return composed.group_norm(x * 1.0, NUM_GROUPS, weight, bias, EPS, relu=True)

    found = []
    for norm in (torch.compile(call, backend="eager", fullgraph=True), call):
        first = torch.autograd.grad(norm(x).square().sum(), (x, weight), create_graph=True)
        found.append(
            torch.autograd.grad(first[0].square().sum() + first[1].square().sum(), (x, weight, bias))
        )
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


def test_an_operation_that_has_none_says_so() -> None:
    x, weight, bias = inputs_of((2, 4, 3), 2, False)
    statistics = randn(2, NUM_GROUPS)
    arguments = (torch.ones_like(x), x, None, weight, bias, statistics, statistics, False)
    with torch.device("meta"):
        meta = [torch.empty_like(value) if isinstance(value, torch.Tensor) else value for value in arguments]
    meta[1].requires_grad_()
    dx, *_ = torch.ops.gnexp.group_norm_backward(*meta)
    with pytest.raises(RuntimeError, match="group_norm_backward has no gradient of its own"):
        torch.autograd.grad(dx.sum(), meta[1])
