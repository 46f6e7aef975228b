"""Inputs of group normalization, and how far a result may be from float64's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from gnexp.ops import reference

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
# Of values around 1. Triton's interpreter cuts bfloat16 off where a GPU rounds, hence twice its last bit.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 2**-6}


@dataclass(frozen=True)
class Case:
    """One call: shape (N, C, *), groups, and what comes with it."""

    shape: tuple[int, ...]
    num_groups: int
    is_channels_last: bool = False
    has_residual: bool = False
    relu: bool = False
    dtype: torch.dtype = torch.float64
    parameters: torch.dtype | None = None  # weight's and bias's, dtype unless told otherwise
    mean: float = 0.0
    device: str = "cpu"

    def __str__(self) -> str:
        words = [
            "x".join(map(str, self.shape)),
            f"G{self.num_groups}",
            str(self.dtype).removeprefix("torch."),
        ]
        flags = {"last": self.is_channels_last, "residual": self.has_residual, "relu": self.relu}
        return "-".join([*words, *(word for word, is_set in flags.items() if is_set)])

    def inputs(self) -> dict[str, torch.Tensor]:
        """x, weight, bias and, where there is one, residual; leaves that want gradients."""
        generator = torch.Generator().manual_seed(len(self.shape) + self.shape[1])

        def draw(*shape: int, dtype: torch.dtype) -> torch.Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

        parameters = self.parameters or self.dtype
        channels = self.shape[1]
        found = {
            "x": (draw(*self.shape, dtype=torch.float64) + self.mean).to(self.dtype),
            "weight": draw(channels, dtype=parameters),
            "bias": draw(channels, dtype=parameters),
        }
        if self.has_residual:
            found["residual"] = draw(*self.shape, dtype=self.dtype)
        if self.is_channels_last:
            found["x"] = found["x"].contiguous(memory_format=CHANNELS_LAST[len(self.shape)])
        return {name: tensor.to(self.device).requires_grad_() for name, tensor in found.items()}


Call = Callable[..., torch.Tensor]  # like gnexp.ops.fused.group_norm


def run(
    call: Call,
    inputs: dict[str, torch.Tensor],
    case: Case,
    eps: float = 1e-5,
    kept: torch.Tensor | float = 1.0,
) -> dict[str, torch.Tensor]:
    """Output and gradients of a call; `kept` is 0 where no gradient shall come from."""
    parts = dict(inputs)
    residual = parts.pop("residual", None)
    y = call(parts["x"], case.num_groups, parts["weight"], parts["bias"], eps, residual, case.relu)
    generator = torch.Generator().manual_seed(9)
    dy = torch.randn(y.shape, generator=generator, dtype=torch.float64) * kept
    dy = dy.to(y.device, y.dtype)
    gradients = torch.autograd.grad(y, list(inputs.values()), dy)
    return {"y": y.detach(), **dict(zip(inputs, gradients, strict=True))}


def check(call: Call, case: Case, inputs: dict[str, torch.Tensor] | None = None) -> None:
    """Compares output and all gradients with the reference in float64 on the same values.

    Nothing comes back from where y is close to ReLU's kink: of a million values a few lie so close that rounding
    decides on which side, and with it over their whole gradient.
    """
    inputs = case.inputs() if inputs is None else inputs
    wide = {name: tensor.detach().cpu().double().requires_grad_() for name, tensor in inputs.items()}
    before_relu = run(reference.group_norm, wide, replace(case, relu=False))["y"]
    rounding = min(TOLERANCE[case.dtype], TOLERANCE[torch.float32]) * (1 + abs(case.mean))
    kept = (before_relu.abs() > rounding).double() if case.relu else 1.0
    found = run(call, inputs, case, kept=kept)
    expected = run(reference.group_norm, wide, replace(case, dtype=torch.float64), kept=kept)
    for name, value in expected.items():
        ours = found[name]
        assert ours.dtype == (case.dtype if name == "y" else inputs[name].dtype), name
        size = max(1.0, float(value.abs().max())) if value.numel() else 1.0
        tolerance = TOLERANCE[case.dtype] * (1 + abs(case.mean))
        torch.testing.assert_close(ours.cpu().double() / size, value / size, rtol=0, atol=tolerance, msg=name)
