"""The Triton kernels, by Triton's interpreter where there is no GPU, against the reference in float64."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import pytest
import torch

from gnexp.ops import fused
from gnexp.ops.plan import make_plan
from tests.grids import thin
from tests.ops.norm_cases import CHANNELS_LAST, Case, check, run

pytest.importorskip("triton")
pytestmark = pytest.mark.skipif(
    not fused.is_interpreting(), reason="by the interpreter; see test_fused_gpu.py"
)

PATHS = [("whole", None), ("looped", None), ("split", 4)]
FLAGS = list(itertools.product([False, True], repeat=2))


@pytest.fixture(autouse=True)
def nan_where_nothing_is_written() -> Iterator[None]:
    """What was not written would be NaN, and an operator that is not deterministic an error."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Takes the path that the test names instead of the best one."""
    path, per_split = request.param
    monkeypatch.setattr(fused, "make_plan", functools.partial(make_plan, path=path, per_split=per_split))


on_each_path = pytest.mark.parametrize("forced", PATHS, indirect=True, ids=[path for path, _ in PATHS])


@on_each_path
@pytest.mark.parametrize("is_channels_last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize(("has_residual", "relu"), thin(FLAGS, 3))
def test_each_path(forced: None, is_channels_last: bool, has_residual: bool, relu: bool) -> None:
    """15 pixels, 3 channels per group: nothing is a power of 2, and the splits' last is shorter."""
    check(fused.group_norm, Case((2, 12, 5, 3), 4, is_channels_last, has_residual, relu))


@on_each_path
@pytest.mark.parametrize("dtype", thin([torch.float32, torch.bfloat16, torch.float16], 2), ids=str)
def test_each_precision(forced: None, dtype: torch.dtype) -> None:
    case = Case((2, 8, 3, 3), 2, True, True, True, dtype)
    check(fused.group_norm, case)
    half = dtype != torch.float32
    if half:  # as under autocast: the parameters are wider
        check(fused.group_norm, Case((2, 8, 3, 3), 2, False, False, True, dtype, parameters=torch.float32))


SHAPES = [
    Case((2, 6), 3), Case((3, 6, 1), 1), Case((2, 6, 7), 6), Case((2, 6, 2), 2), Case((1, 6, 1, 1), 2),
    Case((2, 6, 1, 2), 6), Case((1, 6, 3, 2, 3), 2), Case((1, 6, 2, 3, 2), 3, True), Case((2, 12, 3, 3), 1, True),
    Case((2, 12, 3, 3), 12), Case((1, 96, 3, 1), 4), Case((1, 96, 3, 3), 4, True), Case((1, 160, 3, 2), 4, True),
    Case((1, 160, 2), 160), Case((1, 160, 2, 1), 1), Case((1, 64, 45, 40), 4, True), Case((1, 2, 150, 120), 1),
]  # fmt: skip


@pytest.mark.parametrize("case", thin([(case,) for case in SHAPES], 2), ids=str)
def test_each_shape(case: Case) -> None:
    """2-D to 5-D, instance and layer norm, one place, and large maps that take the looped and the split path."""
    for has_residual, relu in ((False, True), (True, True)):
        check(fused.group_norm, Case(case.shape, case.num_groups, case.is_channels_last, has_residual, relu))


def test_the_large_shapes_do_take_the_other_paths() -> None:
    assert make_plan(64, 45 * 40, 4, is_channels_last=True).path == "split"
    assert make_plan(2, 150 * 120, 1, is_channels_last=False).path == "looped"
    assert make_plan(96, 9, 4, is_channels_last=True).path == "whole"


def test_what_tells_groups_apart_stays_small() -> None:
    """It takes the square of a program's channels: at 1024 of them (2048 channels, 1x1) minutes of compilation."""
    for channels, num_groups in itertools.product((6, 96, 160, 256, 512, 2048), (1, 2, 32, 160, 512)):
        for pixels, is_last in itertools.product((1, 2, 4, 9, 49, 196, 784), (False, True)):
            if channels % num_groups == 0:
                plan = make_plan(channels, pixels, num_groups, is_channels_last=is_last)
                if plan.path != "split" and plan.slab > channels // num_groups:
                    assert plan.block_c <= 32, (channels, num_groups, pixels, is_last, plan)


@pytest.mark.parametrize("layout", ["transposed", "strided", "expanded"])
def test_any_layout_of_x_and_residual(layout: str) -> None:
    case = Case((2, 6, 4, 3), 3, has_residual=True, relu=True)
    whole = torch.randn(2, 12, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    views = {
        "transposed": whole[:, :6, :, :4].transpose(2, 3),
        "strided": whole[:, ::2, :, ::2].transpose(2, 3),
        "expanded": whole[:1, :6, :1, :4].transpose(2, 3).expand(2, 6, 4, 3),
    }
    inputs = case.inputs()
    for name in ("x", "residual"):
        check(fused.group_norm, case, {**inputs, name: views[layout].detach().requires_grad_()})


@pytest.mark.parametrize("layout", ["strided", "expanded"])
def test_any_layout_of_weight_and_bias(layout: str) -> None:
    case = Case((2, 6, 4, 3), 3)
    values = torch.randn(12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    view = {"strided": values[::2], "expanded": values[:1].expand(6)}[layout]
    for name in ("weight", "bias"):
        check(fused.group_norm, case, {**case.inputs(), name: view.detach().requires_grad_()})


def test_an_image_past_32_bit_offsets_is_refused() -> None:
    parameter = torch.empty(2, device="meta")
    assert fused.group_norm(
        torch.empty(3, 2, 2**30 - 1, device="meta"), 1, parameter, parameter, 1e-5
    ).is_meta
    with pytest.raises(ValueError, match="images below 2147483648 values, got 2147483648 .*composed"):
        fused.group_norm(torch.empty(1, 2, 2**30, device="meta"), 1, parameter, parameter, 1e-5)


def test_channels_last_stays_and_a_residual_of_another_layout_is_taken() -> None:
    case = Case((2, 6, 4, 3), 3, True, True, True)
    inputs = case.inputs()
    assert inputs["residual"].is_contiguous() and not inputs["x"].is_contiguous()
    before = inputs["residual"].detach().clone()
    found = run(fused.group_norm, inputs, case)
    assert torch.equal(inputs["residual"], before), "the residual belongs to the caller"
    for name in ("y", "x"):
        assert found[name].is_contiguous(memory_format=CHANNELS_LAST[4])


@on_each_path
@pytest.mark.parametrize("mean", thin([1e5, 1e3]))
def test_large_means(forced: None, mean: float) -> None:
    """The mean itself has 24 bits: what can be lost is mean / std of them."""
    check(fused.group_norm, Case((2, 8, 5, 4), 2, True, dtype=torch.float32, mean=mean))
    check(fused.group_norm, Case((2, 8, 5, 4), 2, False, dtype=torch.float32, mean=mean))


@on_each_path
def test_constant_input_gives_the_bias(forced: None) -> None:
    bias = torch.tensor([1.0, 2.0, 3.0, -4.0])
    x = torch.full((2, 4, 3, 3), 1234.5)
    y = fused.group_norm(x, 2, torch.ones(4), bias, 1e-5)
    assert torch.equal(y, bias.view(1, 4, 1, 1).expand_as(y))


@on_each_path
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy's, in the interpreter
@pytest.mark.parametrize(
    ("value", "relu"), thin([(float("nan"), True), (float("inf"), False), (float("-inf"), True)])
)
def test_what_is_not_finite_spoils_its_group_alone(forced: None, value: float, relu: bool) -> None:
    case = Case((2, 8, 3, 3), 4, True, True, relu)
    inputs = case.inputs()
    clean = run(fused.group_norm, inputs, case)
    with torch.no_grad():
        inputs["x"][0, 5, 1, 1] = value  # group 2 of image 0
    found = run(fused.group_norm, inputs, case)
    is_spoiled = torch.zeros_like(clean["y"], dtype=torch.bool)
    is_spoiled[0, 4:6] = True
    for name in ("y", "x"):
        assert found[name][is_spoiled].isnan().all()
        assert torch.equal(found[name][~is_spoiled], clean[name][~is_spoiled])


@on_each_path
def test_the_same_inputs_give_the_same_bits_in_any_batch(forced: None) -> None:
    case = Case((3, 8, 5, 3), 2, True, True, True, torch.float32)
    inputs = case.inputs()
    first, again = run(fused.group_norm, inputs, case), run(fused.group_norm, inputs, case)
    assert all(torch.equal(first[name], again[name]) for name in first)
    parts = {name: tensor[1:2] if tensor.dim() == 4 else tensor for name, tensor in inputs.items()}
    alone = fused.group_norm(parts["x"], 2, parts["weight"], parts["bias"], 1e-5, parts["residual"], True)
    assert torch.equal(alone, first["y"][1:2])


def test_no_image_at_all() -> None:
    case = Case((0, 6, 3, 3), 2, has_residual=True, relu=True)
    found = run(fused.group_norm, case.inputs(), case)
    assert found["y"].shape == found["x"].shape == (0, 6, 3, 3)
    assert torch.equal(found["weight"], torch.zeros(6, dtype=torch.float64))


@pytest.mark.parametrize(
    ("forced", "has_residual", "relu"),
    thin([(PATHS[0], *flags) for flags in FLAGS] + [(path, True, True) for path in PATHS[1:]], 2),
    indirect=["forced"],
)
def test_gradcheck(forced: None, has_residual: bool, relu: bool) -> None:
    case = Case((2, 4, 3, 2), 2, has_residual=has_residual, relu=relu)
    inputs = case.inputs()

    def call(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return fused.group_norm(x, 2, weight, bias, 1e-5, *(rest or [None]), relu)

    assert torch.autograd.gradcheck(call, list(inputs.values()), fast_mode=True)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # opcheck's own
@pytest.mark.parametrize(
    ("is_channels_last", "has_residual", "relu"),
    thin([(True, *flags) for flags in FLAGS] + [(False, True, True)], 4),
)
def test_opcheck(is_channels_last: bool, has_residual: bool, relu: bool) -> None:
    case = Case((2, 4, 3, 2), 2, is_channels_last, has_residual, relu, torch.float32)
    inputs = case.inputs()
    arguments = (inputs["x"], inputs.get("residual"), inputs["weight"], inputs["bias"], 2, 1e-5, relu)
    torch.library.opcheck(torch.ops.gnexp.group_norm.default, arguments)
    y, mean, rstd = torch.ops.gnexp.group_norm(*arguments)
    saved = [tensor.detach() for tensor in (inputs["x"], y, inputs["weight"], inputs["bias"], mean, rstd)]
    saved[1:2] = [saved[1] if has_residual and relu else None]
    dy = torch.randn_like(y).requires_grad_()
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch.ops.gnexp.group_norm_backward.default, (dy, *saved, relu), test_utils=tests)


@pytest.mark.parametrize(
    ("is_channels_last", "has_residual", "relu"),
    thin([(True, True, True)] + [(False, *flags) for flags in FLAGS]),
)
def test_second_gradients(is_channels_last: bool, has_residual: bool, relu: bool) -> None:
    case = Case((2, 4, 3, 2), 2, is_channels_last, has_residual, relu)

    def call(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return fused.group_norm(x, 2, weight, bias, 1e-5, *(rest or [None]), relu)

    assert torch.autograd.gradgradcheck(call, list(case.inputs().values()), fast_mode=True)
