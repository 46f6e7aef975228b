"""The kernels stay inside their memory, and the checks see the mistakes that such kernels are prone to."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import gnexp.ops
from gnexp.ops import fused, plan
from gnexp.ops.plan import make_plan
from tests.ops.norm_cases import Case, check

pytest.importorskip("triton")
from triton.runtime.errors import InterpreterError

pytestmark = pytest.mark.skipif(not fused.is_interpreting(), reason="by the interpreter")

FOLDER = Path(gnexp.ops.__file__).parent
SENTINEL, PADDING = 12345.0, 64
PATHS = [("whole", None), ("looped", None), ("split", 4)]
CASES = [
    Case((2, 12, 5, 3), 4, False, True, True, torch.float32),
    Case((2, 12, 5, 3), 4, True, True, True, torch.float32),
    Case((1, 6, 3, 3), 2, True, False, True, torch.float32, mean=1e3),
    Case((2, 6, 7), 1, dtype=torch.float32),
]


class Padded:
    """Tensors in the midst of memory that nobody may write."""

    def __init__(self) -> None:
        self.buffers: list[torch.Tensor] = []

    def like(self, tensor: torch.Tensor) -> torch.Tensor:
        """Not written yet (NaN), of the same shape and layout."""
        size = tensor.untyped_storage().nbytes() // tensor.element_size() if tensor.numel() else 0
        buffer = torch.full((size + 2 * PADDING,), SENTINEL, dtype=tensor.dtype)
        self.buffers.append(buffer)
        return buffer.as_strided(tensor.shape, tensor.stride(), PADDING).fill_(float("nan"))

    def copy(self, tensor: torch.Tensor) -> torch.Tensor:
        """With the same values."""
        return self.like(tensor).copy_(tensor.detach()).requires_grad_(tensor.requires_grad)

    def check(self) -> None:
        for buffer in self.buffers:
            ends = torch.cat([buffer[:PADDING], buffer[-PADDING:]])
            assert torch.equal(ends, torch.full_like(ends, SENTINEL)), "written outside of a tensor"


def check_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every case on every path, in padded memory and many small tiles."""
    monkeypatch.setattr(plan, "_TILE", 16)
    for path, per_split in PATHS:
        monkeypatch.setattr(fused, "make_plan", functools.partial(make_plan, path=path, per_split=per_split))
        for case in CASES:
            padded = Padded()
            for name in ("_forward_shapes", "_backward_shapes"):
                shapes = getattr(SHAPES, name)
                monkeypatch.setattr(
                    fused, name, lambda *a, shapes=shapes, p=padded: tuple(map(p.like, shapes(*a)))
                )
            workspace = SHAPES.workspace
            monkeypatch.setattr(
                fused._Shape, "workspace", lambda self, w=workspace, p=padded: p.like(w(self))
            )
            check(
                fused.group_norm, case, {name: padded.copy(tensor) for name, tensor in case.inputs().items()}
            )
            padded.check()


class SHAPES:
    """The real ones, before a test puts padded ones in their place."""

    _forward_shapes = staticmethod(fused._forward_shapes)
    _backward_shapes = staticmethod(fused._backward_shapes)
    workspace = staticmethod(fused._Shape.workspace)


Plant = Callable[[str, str, str], None]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Puts an altered copy of a module of kernels in its place."""

    def alter(module: str, right: str, wrong: str) -> None:
        source = (FOLDER / f"{module}.py").read_text(encoding="utf-8")
        assert right in source, f"{module}.py has changed: {right}"
        path = tmp_path / f"planted_{module}.py"
        path.write_text(source.replace(right, wrong), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        altered = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, altered)
        spec.loader.exec_module(altered)
        __import__(f"gnexp.ops.{module}")
        monkeypatch.setattr(gnexp.ops, module, altered)

    return alter


@pytest.mark.slow  # test_fused.py has them unaltered in `make test`
@pytest.mark.parametrize("module", ["kernels", "kernels_backward"])
def test_unaltered_they_stay_inside_and_are_right(
    plant: Plant, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(module, "import triton\n", "import triton\n")
    check_all(monkeypatch)


RANGE = "mask = (s < last)[:, None] & is_channel[None, :]"
WHOLE = "mask = (s < num_pixels)[:, None] & is_channel[None, :]"
FAULTS = {
    "the wrong group": ("kernels", "group_stats(mean, m2, c // per_group,", "group_stats(mean, m2, c % per_group,"),
    "no mask over differences": ("kernels", "tl.where(mask, x - mean[None, :], 0.0)", "x - mean[None, :]"),
    "E[x^2] - E[x]^2": (
        "kernels", "tl.sum(centred * centred, 0) - rest * rest * num", "tl.sum(x * x, 0) - mean * mean * num",
    ),
    "merged without the distance of the means": ("kernels", " + delta * delta * count * other_count / total", ""),
    "splits without the distance of the means": ("kernels", " + delta * delta * num[:, None]", ""),
    "grouped without the distance of the means": ("kernels", "m2 + delta * delta * num_pixels", "m2"),
    "a tile too long, in a loop": ("kernels", RANGE, "mask = (s < last + 1)[:, None] & is_channel[None, :]"),
    "a tile too long, in registers": ("kernels", WHOLE, "mask = (s < num_pixels + 1)[:, None] & is_channel[None, :]"),
    "channels past the slab": ("kernels", "(lane < slab) & (c < channels)", "(lane < BLOCK_C)"),
    "two programs, one slot": ("kernels", "(n * num_splits + split) * channels + c", "n * num_splits * channels + c"),
    "statistics of the next image": (
        "kernels",
        "c // per_group\n    mean = tl.load(mean_ptr + slot",
        "c // per_group\n    mean = tl.load(mean_ptr + slot + channels // per_group",
    ),
    "no ReLU": ("kernels", "y = tl.where(y < 0, 0.0, y)", "y = y"),
    "a gradient without its second term": ("kernels_backward", " + xhat * sum_w[None, :]", ""),
    "a gradient without the weight": ("kernels_backward", "weight[None, :] * g - shared", "g - shared"),
    "ReLU's mask without the residual": ("kernels_backward", "        if HAS_OUTPUT:\n", "        if False:\n"),
    "a split's sum left out": ("kernels_backward", "split < num_splits)", "split < num_splits - 1)"),
    "an image's sum left out": ("kernels_backward", "row < num_rows)", "row < num_rows - 1)"),
    "a gradient too long": ("kernels_backward", RANGE, "mask = (s < last + 1)[:, None] & is_channel[None, :]"),
}  # fmt: skip


QUICK = ("E[x^2] - E[x]^2", "a tile too long, in a loop", "a gradient without the weight")


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=() if fault in QUICK else pytest.mark.slow) for fault in FAULTS],
    ids=lambda name: name.replace(" ", "-"),
)
def test_a_planted_fault_is_seen(plant: Plant, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(*FAULTS[fault])
    with pytest.raises((AssertionError, InterpreterError)):
        check_all(monkeypatch)
