"""The Triton kernels on a GPU: true rounding, real concurrency, compiled code. `make test-gpu` runs these.

GNEXP_GPU_TESTS=cpu has Triton's interpreter run the same code on small shapes, so that nothing here is run for the
first time on a GPU (`make gpu-rehearsal`).
"""

from __future__ import annotations

import functools
import os

import pytest
import torch

from gnexp.ops import fused
from gnexp.ops.plan import make_plan
from tests.ops.norm_cases import Case, check, run

pytest.importorskip("triton")
DEVICE = os.environ.get("GNEXP_GPU_TESTS", "cuda")
IS_REHEARSAL = DEVICE == "cpu"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        fused.is_interpreting() and not IS_REHEARSAL, reason="takes hours by the interpreter: make test-gpu"
    ),
]

PATHS = [("whole", None), ("looped", None), ("split", 2 if IS_REHEARSAL else 40)]
# ResNet-50's norms and a video's at sizes that the paths share; then what each path takes by itself.
SMALL = [(2, 64, 14, 14), (2, 96, 7, 7), (2, 160, 9, 5), (1, 32, 4, 7, 7)]
LARGE = [(4, 64, 112, 112), (4, 256, 56, 56), (4, 512, 28, 28), (4, 2048, 7, 7), (1, 64, 32, 56, 56)]
KINDS = [torch.float32, torch.bfloat16, torch.float16]
GROUPS, COMPILED, COMPILER = 32, (4, 64, 28, 28), "inductor"
if IS_REHEARSAL:
    KINDS = KINDS[:2]
    SMALL = LARGE = [(1, 4, 3, 1)]
    GROUPS, COMPILED, COMPILER = 2, (1, 4, 2, 2), "aot_eager"  # inductor wants a C++ compiler there
LAYOUTS = pytest.mark.parametrize("is_channels_last", [False, True], ids=["nchw", "nhwc"])
DTYPES = pytest.mark.parametrize("dtype", KINDS, ids=str)


@LAYOUTS
@DTYPES
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[0])
@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_each_path(
    shape: tuple[int, ...],
    path: tuple[str, int | None],
    dtype: torch.dtype,
    is_channels_last: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fused, "make_plan", functools.partial(make_plan, path=path[0], per_split=path[1]))
    for has_residual, relu in ((False, True), (True, True), (True, False)):
        flags = is_channels_last, has_residual, relu
        check(fused.group_norm, Case(shape, GROUPS, *flags, dtype, torch.float32, device=DEVICE))


@LAYOUTS
@DTYPES
@pytest.mark.parametrize("num_groups", [1, GROUPS])
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_the_same_bits_again_and_right(
    shape: tuple[int, ...], num_groups: int, dtype: torch.dtype, is_channels_last: bool
) -> None:
    case = Case(shape, num_groups, is_channels_last, True, True, dtype, torch.float32, device=DEVICE)
    check(fused.group_norm, case)
    inputs = case.inputs()
    torch.use_deterministic_algorithms(True)
    try:
        first, again = run(fused.group_norm, inputs, case), run(fused.group_norm, inputs, case)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_compiled_module_agrees() -> None:
    case = Case(COMPILED, GROUPS, True, True, True, torch.bfloat16, torch.float32, device=DEVICE)
    check(torch.compile(fused.group_norm, fullgraph=True, backend=COMPILER), case)


def test_second_gradients() -> None:
    inputs = Case((2, 4, 3, 2), 2, has_residual=True, relu=True, device=DEVICE).inputs()

    def call(*values: torch.Tensor) -> torch.Tensor:
        x, weight, bias, residual = values
        return fused.group_norm(x, 2, weight, bias, 1e-5, residual, relu=True)

    assert torch.autograd.gradgradcheck(call, list(inputs.values()), fast_mode=True)
