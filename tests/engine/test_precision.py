"""Half precision, compiled and channels-last steps: they train, and a resumed run repeats."""

import copy
import dataclasses
import itertools
from pathlib import Path

import pytest
import torch

from gnexp.config import RecipeConfig, RunConfig, data_config, model_config, norm_config
from gnexp.engine.checkpoint import Checkpoints
from gnexp.engine.evaluate import evaluate
from gnexp.engine.processes import ALONE
from gnexp.engine.state import State, build
from gnexp.engine.train import EpochRecord, StepRecord, train
from gnexp.runs.directory import RunDirectory
from tests.engine.group import build_as
from tests.grids import thin

CPU = torch.device("cpu")
NORMS = {
    "bn": norm_config(kind="bn", momentum=0.1),
    "brn": norm_config(kind="brn", momentum=0.1, r_max=1.5, d_max=0.5, renorm_ramp=(0.1, 0.4, 0.8)),
    "gn": norm_config(num_groups=4),
}
RUN = RunConfig(
    # Thin: float16 takes a CPU ten times as long.
    model=model_config(widths=(8, 8, 16, 16)),
    data=data_config(exposure=1.0, clutter=0, num_train=64, num_val=40, shift=1),
    recipe=RecipeConfig(epochs=2, base_lr=0.4, report_epochs=1),
    batch=4,
    workers=4,
)


def of(norm: str, **changes: object) -> RunConfig:
    return dataclasses.replace(RUN, norm=NORMS[norm], **changes)  # type: ignore[arg-type]


def finished(state: State) -> list[dict[str, float | int]]:
    return [record.metrics for record in train(state) if isinstance(record, EpochRecord)]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("norm", list(NORMS))
def test_half_precision_trains_near_full(norm: str, precision: str) -> None:
    """The first losses agree to the few digits that half precision has; the weights stay float32."""
    full, half = (build(of(norm, precision=p), CPU) for p in (None, precision))
    pairs = itertools.islice(zip(train(full), train(half), strict=True), 4)
    losses = [(a.loss, b.loss) for a, b in pairs if isinstance(a, StepRecord) and isinstance(b, StepRecord)]
    assert len(losses) == 4
    for expected, ours in losses[:3]:
        assert ours == pytest.approx(expected, rel=0.02)
    assert any(expected != ours for expected, ours in losses)  # it was half precision
    assert {tensor.dtype for tensor in half.model.state_dict().values() if tensor.is_floating_point()} <= {
        torch.float32, torch.float64,
    }  # fmt: skip


def test_the_scaler_is_in_the_checkpoint_and_the_resumed_run_repeats(tmp_path: Path) -> None:
    run = of("gn", precision="fp16", data=dataclasses.replace(RUN.data, num_val=8))
    whole = build(run, CPU)
    whole.scaler._growth_interval = 3  # else it would take 2000 steps to change
    expected = finished(whole)
    stopped = build(run, CPU)
    stopped.scaler._growth_interval = 3
    for record in train(stopped):
        if isinstance(record, StepRecord) and (record.epoch, record.step) == (2, 1):
            break
    assert stopped.scaler.get_scale() != build(run, CPU).scaler.get_scale()
    Checkpoints(RunDirectory(tmp_path)).save({"state": stopped.state_dict()}, epoch=1, step=1)
    resumed = build(run, CPU)
    saved, _ = Checkpoints(RunDirectory(tmp_path)).load(CPU)
    assert saved is not None
    resumed.load_state_dict(saved["state"])
    assert resumed.scaler.state_dict() == stopped.scaler.state_dict()
    assert finished(resumed) == expected[1:]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_a_step_that_overflows_is_left_out_and_scaled_down() -> None:
    state = build(of("gn", precision="fp16"), CPU)
    steps = train(state)
    next(steps)
    before, scale = copy.deepcopy(state.model.state_dict()), 2.0**120
    state.scaler.update(scale)
    next(steps)
    assert all(torch.equal(value, before[name]) for name, value in state.model.state_dict().items())
    assert state.scaler.get_scale() < scale


@pytest.mark.parametrize("norm", thin(["brn", "bn"]))
def test_one_worker_takes_channels_last_natively(norm: str) -> None:
    """Without virtual workers nothing is folded: the same as contiguous, but for rounding."""
    plain = of(norm, workers=1, batch=16)
    first, second = (
        finished(build_as(dataclasses.replace(plain, memory_format=name), ALONE, torch.float64))[-1]
        for name in ("contiguous", "channels_last")
    )
    assert second["train/loss"] == pytest.approx(first["train/loss"], rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("norm", list(NORMS))
def test_a_compiled_step_is_the_same_but_for_rounding(norm: str) -> None:
    plain, compiled = (build(of(norm, compile=is_compiled), CPU) for is_compiled in (False, True))
    for ours, expected in zip(train(compiled), train(plain), strict=True):
        if isinstance(ours, StepRecord) and isinstance(expected, StepRecord):
            assert ours.loss == pytest.approx(expected.loss, rel=1e-3)
    ours, expected = (
        evaluate(state, ["worker0"], epoch=2)["worker0"]["top1_error"] for state in (compiled, plain)
    )
    assert ours == pytest.approx(expected, abs=5)
