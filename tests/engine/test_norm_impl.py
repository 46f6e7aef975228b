"""norm.impl is hardware: a network trained by the Triton kernels is the one that torch's operators train."""

import dataclasses
import itertools

import pytest
import torch

from gnexp.config import RecipeConfig, RunConfig, data_config, model_config, norm_config
from gnexp.engine.device import describe, norm_impl
from gnexp.engine.processes import ALONE
from gnexp.engine.state import build
from gnexp.engine.train import StepRecord, train
from gnexp.ops import fused
from tests.engine.group import build_as
from tests.grids import thin

CPU = torch.device("cpu")
RUN = RunConfig(
    model=model_config(block="bottleneck", blocks=(1, 1), widths=(4, 8), default_num_groups=4),
    data=data_config(exposure=1.0, clutter=0, num_train=8, num_val=10, shift=1),
    recipe=RecipeConfig(epochs=1, base_lr=0.4, report_epochs=1),
    batch=2,
    workers=1,
)


def of(impl: str, **changes: object) -> RunConfig:
    return dataclasses.replace(RUN, norm=norm_config(num_groups=4, impl=impl), **changes)  # type: ignore[arg-type]


@pytest.mark.skipif(not (fused.HAS_TRITON and fused.is_interpreting()), reason="by Triton's interpreter")
@pytest.mark.parametrize("memory_format", thin(["channels_last", "contiguous"]))
def test_two_steps_are_the_same(memory_format: str) -> None:
    runs = [of(impl, memory_format=memory_format) for impl in ("fused", "composed")]
    states = [build_as(run, ALONE, torch.float64) for run in runs]
    steps = [list(itertools.islice(train(state), 2)) for state in states]
    for ours, theirs in zip(*steps, strict=True):
        assert isinstance(ours, StepRecord) and isinstance(theirs, StepRecord)
        assert ours.loss == pytest.approx(theirs.loss, abs=1e-9)
    first, second = (state.model.state_dict() for state in states)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=1e-9, msg=name)
    assert steps[0][1].loss != steps[0][0].loss


def test_it_is_no_science_and_is_in_env() -> None:
    assert of("composed").run_id == of("auto").run_id
    assert describe(of("composed"), CPU, {})["norm_impl"] == "composed (asked for)"
    assert describe(of("auto"), CPU, {})["norm_impl"] == "composed (Triton needs a GPU, and this is cpu)"
    bn = dataclasses.replace(RUN, norm=norm_config(kind="bn", momentum=0.1))
    assert norm_impl(bn, CPU) is None and describe(bn, CPU, {})["norm_impl"] is None


def test_what_cannot_be_had_ends_before_any_image_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    monkeypatch.setattr("gnexp.engine.state.build_dataset", lambda *_: pytest.fail("images were generated"))
    with pytest.raises(ValueError, match="norm.impl=fused is unsupported here: .* use norm.impl=auto"):
        build(of("fused"), CPU)
