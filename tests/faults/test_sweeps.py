"""Faults 18 to 20, and 17 in more than one process: what goes wrong in one run of many is told and stays there."""

import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from gnexp.config import RecipeConfig, model_config, norm_config
from gnexp.engine.state import build
from gnexp.engine.train import DivergedError, train
from gnexp.runs.result import DIVERGED, load_result
from tests.faults.started import checkpoints, command, pair, processes_in, trainer, wait_until
from tests.faults.tiny import CPU, TINY, assert_equal, write_spec
from tests.warm import crowding, without_digest_notes

GRID = (
    "sweep", "experiment=null", "norm=gn", "norm.num_groups=8,2", "scale=smoke", "batch=4", "threads=1",
    "device=cpu", "data.num_train=64", "data.num_val=40", "recipe.epochs=8", "hydra.launcher.n_jobs=2",
)  # fmt: skip


@pytest.mark.dist
def test_fault_17_divergence_is_the_result_of_both_processes_and_is_not_tried_again(tmp_path: Path) -> None:
    spec = write_spec(
        tmp_path, norm=norm_config(kind="none"), recipe=RecipeConfig(epochs=4, base_lr=1e5), processes=2
    )
    for _ in range(2):
        with pair(spec) as group:
            assert [process.wait() for process in group] == [(0, []), (0, [])]
        result = load_result(spec.parent / "result.json")
        assert result.status == DIVERGED and result.metrics == {} and len(result.env) == 1
        assert not (spec.parent / "weights.pt").exists()


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_fault_17_a_gradient_that_is_not_finite_never_reaches_the_weights(bad: float) -> None:
    """The loss is finite: one gradient of one layer is not."""
    state = build(TINY, CPU)
    records = train(state)
    next(records)
    before = {
        name: value.clone() for name, value in state.model.state_dict().items() if "running" not in name
    }
    momentum = [value.clone() for entry in state.optimizer.state.values() for value in entry.values()]
    weight = next(state.model.parameters())
    weight.register_hook(lambda gradient: torch.where(gradient == gradient.max(), bad, gradient))
    with pytest.raises(DivergedError, match="a gradient is not finite in epoch 1, step 2 of 4"):
        next(records)
    after: dict[str, Any] = state.model.state_dict()
    assert_equal({name: after[name] for name in before}, before)
    assert_equal([v for entry in state.optimizer.state.values() for v in entry.values()], momentum)


def test_fault_18_one_value_per_channel_and_worker_is_told_before_training(tmp_path: Path) -> None:
    data = dataclasses.replace(TINY.data, image_size=32)
    model = model_config(blocks=(1,) * 5, widths=(16,) * 5, stem_stride=2)
    spec = write_spec(tmp_path, batch=1, data=data, model=model)
    with trainer(spec) as process:
        code, errors = process.wait()
    assert code == 2 and len(errors) == 1 and errors[0].startswith("gnexp: error: ")
    assert "more than one value per channel" in errors[0]
    assert not checkpoints(spec.parent)


@pytest.mark.slow
def test_fault_20_a_killed_sweep_then_two_at_once_make_each_run_once(tmp_path: Path) -> None:
    """The first sweep and its launcher's processes die; two take over side by side, and no run is run twice."""
    with command(*GRID, cwd=tmp_path) as sweep:
        wait_until(lambda: len(list(tmp_path.glob("runs/*/metrics.jsonl"))) == 2, "two runs", 90)
        os.kill(sweep.pid, signal.SIGKILL)
        wait_until(lambda: not _training(tmp_path), "an end of its runs", 10)
    with command(*GRID, cwd=tmp_path) as first, command(*GRID, cwd=tmp_path) as second:
        for sweep in (first, second):
            _, errors = sweep.communicate(timeout=120 * crowding())
            assert (sweep.returncode, without_digest_notes(errors)) == (0, "")
    results = sorted(tmp_path.glob("runs/*/result.json"))
    assert len(results) == 2
    for path in results:
        assert load_result(path).status == "finished"
        log = (path.parent / "log.txt").read_text(encoding="utf-8")
        assert log.count("epoch 8/8") == 1 and log.count("result: ") == 1
        assert len((path.parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 8
        assert len(json.loads((path.parent / "env.json").read_text(encoding="utf-8"))) <= 2


def _training(folder: Path) -> list[str]:
    return [words for words in processes_in(folder).values() if "gnexp.launch.trainer" in words]
