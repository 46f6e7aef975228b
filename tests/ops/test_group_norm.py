"""The one call: which implementation it takes, what it refuses, and what torch's own machinery makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from gnexp.ops import fused
from gnexp.ops.group_norm import choose_impl, group_norm
from tests.ops.norm_cases import CHANNELS_LAST, Case, check, run

needs_interpreter = pytest.mark.skipif(
    not (fused.HAS_TRITON and fused.is_interpreting()), reason="by Triton's interpreter"
)
on_both = pytest.mark.parametrize("impl", ["composed", pytest.param("fused", marks=needs_interpreter)])


@pytest.mark.parametrize(
    ("wanted", "device", "has_triton", "expected"),
    [
        ("auto", "cpu", True, ("composed", "Triton needs a GPU, and this is cpu")),
        ("auto", "cuda", True, ("fused", "a GPU with Triton")),
        ("auto", "cuda", False, ("composed", "no Triton installed")),
        ("fused", "cuda", True, ("fused", "asked for")),
        ("composed", "cuda", True, ("composed", "asked for")),
    ],
)
def test_the_choice_and_its_reason(
    wanted: str, device: str, has_triton: bool, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "HAS_TRITON", has_triton)
    monkeypatch.delenv("TRITON_INTERPRET")
    assert dataclasses.astuple(choose_impl(wanted, device)) == expected


def test_what_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    line = "norm.impl=fused is unsupported here: Triton needs a GPU, and this is cpu; use norm.impl=auto"
    with pytest.raises(ValueError, match=line):
        group_norm(torch.ones(1, 2, 2), 1, torch.ones(2), torch.ones(2), 1e-5, impl="fused")
    with pytest.raises(ValueError, match="impl must be auto, fused or composed, got fussed"):
        choose_impl("fussed", "cpu")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"num_groups": 4}, "num_groups must divide the channels evenly, got C=6 and G=4"),
        ({"num_groups": 0}, "num_groups must be a whole number, at least 1, got 0"),
        ({"x": torch.ones(6)}, r"x must be \(N, C, \*\) of floating point with 2 to 5 axes, got \(6,\)"),
        ({"x": torch.ones(2, 6, dtype=torch.long)}, "of floating point .* of torch.int64"),
        ({"weight": torch.ones(5)}, r"weight must be \(6,\) like x's channels, got \(5,\)"),
        ({"bias": torch.ones(6).half()}, "bias must be float32 or of x's dtype, got torch.float16 and torch.float32"),
        ({"weight": torch.ones(6, device="meta")}, "weight must be on x's device, got meta and cpu"),
        ({"residual": torch.ones(2, 6, 2)}, r"residual must be like x, got \(2, 6, 2\) .* and \(2, 6, 3\)"),
        ({"residual": torch.ones(2, 6, 3).half()}, "got .* of torch.float16 on cpu and .* of torch.float32 on cpu"),
        ({"residual": torch.ones(2, 6, 3, device="meta")}, "on meta and .* on cpu"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_one_line(changes: dict[str, object], line: str) -> None:
    arguments = {
        "x": torch.ones(2, 6, 3), "num_groups": 2, "weight": torch.ones(6), "bias": torch.ones(6), "eps": 1e-5,
    }  # fmt: skip
    with pytest.raises(ValueError, match=line) as caught:
        group_norm(**(arguments | changes))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@on_both
@pytest.mark.parametrize("is_channels_last", [False, True], ids=["nchw", "nhwc"])
def test_both_agree_with_the_reference(impl: str, is_channels_last: bool) -> None:
    check(calling(impl), Case((2, 6, 3, 2), 3, is_channels_last, True, True))


@on_both
def test_autocast_changes_nothing(impl: str) -> None:
    """The output keeps x's dtype, where torch's own group norm returns float32."""
    case = Case((2, 6, 3, 2), 3, False, True, True, torch.bfloat16, torch.float32)
    inputs = case.inputs()
    expected = run(calling(impl), inputs, case)
    with torch.autocast("cpu", torch.bfloat16):
        found = run(calling(impl), inputs, case)
    assert found["y"].dtype == torch.bfloat16 and found["weight"].dtype == torch.float32
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@on_both
def test_it_compiles_as_a_whole_for_any_batch(impl: str) -> None:
    """fullgraph, and one graph for the batches of 2, 3 and 4 that come; a layout is another."""
    case = Case((2, 6, 7, 5), 3, False, True, True, torch.float32)
    graphs = 0

    def count(graph: torch.fx.GraphModule, inputs: object) -> Callable[..., object]:
        nonlocal graphs
        graphs += 1
        return graph.forward

    torch.compiler.reset()
    compiled = torch.compile(calling(impl), fullgraph=True, dynamic=True, backend=count)
    for batch in (2, 3, 4):
        batched = dataclasses.replace(case, shape=(batch, 6, 7, 5))
        check(compiled, batched)
    assert graphs == 1
    check(compiled, dataclasses.replace(case, is_channels_last=True))
    torch.compiler.reset()


@on_both
def test_shapes_alone_keep_the_layout(impl: str) -> None:
    """On the meta device, where models are checked before anything is computed."""
    x = torch.empty(2, 6, 4, 3, device="meta").contiguous(memory_format=CHANNELS_LAST[4])
    parameter = torch.empty(6, device="meta")
    y = group_norm(x, 3, parameter, parameter, 1e-5, x, True, impl)
    assert y.is_meta and y.shape == x.shape and y.is_contiguous(memory_format=CHANNELS_LAST[4])


def calling(impl: str) -> Callable[..., torch.Tensor]:
    """group_norm by one implementation."""

    def call(x, num_groups, weight, bias, eps, residual=None, relu=False):  # type: ignore[no-untyped-def]
        return group_norm(x, num_groups, weight, bias, eps, residual, relu, impl)

    return call
