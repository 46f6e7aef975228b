"""What the benchmark of the GN op measures: shapes, ways to compute them, their check, and the interleaved timing."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from gnexp.ops import reference
from gnexp.ops.group_norm import group_norm

EPS = 1e-5
# (C, H = W) of ResNet-50's norms at 224 pixels and of the small scale's network at 32
RESNET50 = [
    (64, 112), (64, 56), (128, 56), (256, 56), (128, 28), (256, 28), (512, 28), (256, 14), (512, 14), (1024, 14),
    (512, 7), (2048, 7),
]  # fmt: skip
SMALL = [(16, 16), (32, 8), (64, 4), (128, 2)]

Way = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]  # (x, residual) -> y


@dataclass(frozen=True)
class Row:
    """A shape, its groups, and whether a residual is added before ReLU."""

    name: str
    shape: tuple[int, ...]
    groups: int
    add: bool

    @property
    def op(self) -> str:
        """What is computed, in words."""
        return "GN+add+ReLU" if self.add else "GN+ReLU"


def resnet50_rows(batch: int) -> list[Row]:
    """Both operations on ResNet-50's shapes, on one of a video, and with one group."""
    rows = []
    for add in (False, True):
        rows += [Row("resnet50", (batch, c, size, size), 32, add) for c, size in RESNET50]
        rows.append(Row("video", (max(1, batch // 8), 64, 8, 56, 56), 32, add))
        rows.append(Row("one group", (batch, 256, 28, 28), 1, add))
    return rows


def small_rows(batch: int) -> list[Row]:
    """Both operations on the small scale's shapes, at a total batch."""
    return [Row("small", (batch, c, size, size), 8, add) for add in (False, True) for c, size in SMALL]


class OpNorm(nn.Module):
    """gnexp's op as a network calls it."""

    def __init__(self, channels: int, groups: int, relu: bool = True, impl: str = "auto") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.groups, self.relu, self.impl = groups, relu, impl

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        return group_norm(x, self.groups, self.weight, self.bias, EPS, residual, self.relu, self.impl)


class PlainNorm(nn.Module):
    """What torchvision's ResNet does with its norm: a module, `out += identity`, and ReLU in place."""

    def __init__(self, norm: nn.Module, relu: bool = True) -> None:
        super().__init__()
        self.norm = norm
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        out = self.norm(x)
        if residual is not None:
            out += residual
        return self.relu(out)

    def before_sum(self) -> PlainNorm:
        """As gnexp's networks ask their norms."""
        return self


def plain_group_norm(channels: int, groups: int, relu: bool = True) -> PlainNorm:
    """Torchvision's way with norm_layer=GroupNorm."""
    return PlainNorm(nn.GroupNorm(groups, channels, EPS), relu)


def plain_batch_norm(dims: int, channels: int) -> PlainNorm:
    """Torchvision's way with batch norm, of 4-D or 5-D x."""
    return PlainNorm((nn.BatchNorm3d if dims == 5 else nn.BatchNorm2d)(channels, EPS))


class Case:
    """A row's tensors, and what float64 makes of them.

    Gamma and beta are drawn, and the gradient is 0 where y is close to ReLU's kink: on which side rounding puts such a
    value decides over its whole gradient, and says nothing about the kernel.
    """

    def __init__(self, row: Row, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.row = row
        generator = torch.Generator(device).manual_seed(
            0
        )  # a GPU draws in no time what a CPU takes a second for

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator, device=device).to(dtype)

        channels, is_half = row.shape[1], dtype != torch.float32
        self.x = draw(*row.shape).requires_grad_()
        self.residual = draw(*row.shape).requires_grad_() if row.add else None
        self.dy = draw(*row.shape)
        self.parameters = [1 + 0.5 * draw(channels).float(), 0.5 * draw(channels).float()]
        self.tolerance = 2e-2 if is_half else 1e-4  # of the largest entry
        for is_batch in (False, True):  # all columns get the same gradient
            with torch.no_grad():
                self.dy[self._sum(is_batch, *self._wide()).abs() < (5e-2 if is_half else 1e-3)] = 0
        self.wanted: dict[bool, list[torch.Tensor]] = {}

    def load(self, norm: nn.Module) -> nn.Module:
        """Gives a norm the case's gamma and beta."""
        norm.to(self.x.device)
        with torch.no_grad():
            for parameter, value in zip(norm.parameters(), self.parameters, strict=True):
                parameter.copy_(value)
        return norm

    def in_format(self, memory_format: torch.memory_format) -> Case:
        """The same values in another memory format."""
        other = copy.copy(self)
        for name in ("x", "residual", "dy"):
            value = getattr(self, name)
            if value is not None:
                moved = value.detach().contiguous(memory_format=memory_format)
                setattr(other, name, moved.requires_grad_(value.requires_grad))
        return other

    def inputs(self, norm: nn.Module) -> list[torch.Tensor]:
        """Those that gradients are taken of: x, the residual if there is one, gamma and beta."""
        return [self.x, *([] if self.residual is None else [self.residual]), *norm.parameters()]

    def reference(self, is_batch: bool) -> list[torch.Tensor]:
        """The output and all gradients in float64, by the equations; computed once."""
        if is_batch not in self.wanted:
            wide = self._wide()
            y = F.relu(self._sum(is_batch, *wide))
            self.wanted[is_batch] = [y.detach(), *torch.autograd.grad(y, wide, self.dy.double())]
        return self.wanted[is_batch]

    def wrong(self, norm: nn.Module, way: Way | None = None, *, is_batch: bool = False) -> str:
        """Which of the output and the gradients is not float64's, and by how much; empty if none.

        Args:
            norm: has the parameters.
            way: calls it; None where it is called itself.
            is_batch: whether it is batch norm.
        """
        y = (norm if way is None else way)(self.x, self.residual)
        found = [y, *torch.autograd.grad(y, self.inputs(norm), self.dy.to(y.dtype))]
        names = ["y", "dx", *(["dresidual"] if self.row.add else []), "dweight", "dbias"]
        faults = []
        for name, a, b in zip(names, found, self.reference(is_batch), strict=True):
            error = float((a.detach().double() - b).abs().max() / b.abs().max())
            if not error <= self.tolerance:  # so written, NaN is wrong
                faults.append(f"{name} is off by {error:.1e}")
        return ", ".join(faults)

    def _wide(self) -> list[torch.Tensor]:
        tensors = [self.x, *([] if self.residual is None else [self.residual]), *self.parameters]
        return [tensor.detach().double().requires_grad_() for tensor in tensors]

    def _sum(self, is_batch: bool, *wide: torch.Tensor) -> torch.Tensor:
        """What ReLU is given."""
        x, *residual, weight, bias = wide
        if is_batch:
            y = reference.batch_norm(x, 1, weight, bias, EPS)[0]
        else:
            y = reference.group_norm(x, self.row.groups, weight, bias, EPS)
        return y + residual[0] if residual else y


def interleaved(
    calls: dict[str, Callable[[], float]], rounds: int, rest: Callable[[], None] = lambda: None
) -> dict[str, list[float]]:
    """What each call returned in each round, after one round that is not counted; the order alternates."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name in sorted(calls, reverse=bool(round_ % 2)):
            rest()
            value = calls[name]()
            if round_ > 0:
                times[name].append(value)
    return times


def step_times(norm: nn.Module, case: Case, repeats: int) -> tuple[float, float]:
    """Seconds of a forward and of a backward pass on the CPU, means over the repeats."""
    inputs, forward, backward = case.inputs(norm), 0.0, 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        y = norm(case.x, case.residual)
        middle = time.perf_counter()
        torch.autograd.grad(y, inputs, case.dy)
        forward += middle - start
        backward += time.perf_counter() - middle
    return forward / repeats, backward / repeats


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median and quartiles."""
    low, _, high = (
        statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    )
    return {
        "median": round(statistics.median(values), digits),
        "low": round(low, digits),
        "high": round(high, digits),
    }
