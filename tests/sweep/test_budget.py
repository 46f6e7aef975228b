"""A sweep's budget: what could not end in time is not started, and is named."""

import json
import time
from pathlib import Path

import pytest

from gnexp.compose import composer as compose
from gnexp.config import to_dict
from gnexp.runs.directory import find_run_dir
from gnexp.sweep.budget import can_end, end_of, seconds_left, spelled
from gnexp.system.files import write_json
from tests.sweep.sweeps import in_a_folder, run_sweep

__all__ = ["in_a_folder"]  # a fixture of every test here


def begun(run, epochs=1, images_per_second=10.0):
    """A run's directory after some epochs, 320 images and 4 s of evaluation each."""
    directory = find_run_dir(Path("runs"), run)
    directory.path.mkdir(parents=True)
    values = {"format": 1, "run_id": run.run_id, "label": run.label, "config": to_dict(run)}
    write_json(directory.spec, values)
    write_json(directory.env, [{"device": "cpu", "processor": "invented"}])
    seconds = 320 / images_per_second
    line = {"images_per_second": images_per_second, "train_seconds": seconds, "eval_seconds": 4.0}
    for path in (directory.timing, directory.metrics):
        path.write_text((json.dumps(line) + "\n") * epochs, encoding="utf-8")


def cells(*words):
    return [run for _, run in compose.expand("batch_size", "smoke", words).seed_major]


def test_a_run_takes_what_one_like_it_took():
    own, other = cells("norm=bn", "batch=2", "seed=0,1")
    assert seconds_left(own, Path("runs")) is None
    begun(own)
    epochs = own.recipe.epochs
    assert seconds_left(other, Path("runs")) == pytest.approx(36 * epochs)
    assert seconds_left(own, Path("runs")) == pytest.approx(36 * (epochs - 1))  # it goes on
    now = time.time()
    assert can_end(other, Path("runs"), spelled(now + 36 * epochs + 60))
    assert not can_end(other, Path("runs"), spelled(now + 36 * epochs - 10))


def test_a_budget_is_a_time_from_now_or_a_moment():
    assert end_of("24h", 1000.0) == 87_400
    assert end_of(spelled(1234.0), 1000.0) == 1234
    with pytest.raises(ValueError, match="^budget must be a time such as 24h"):
        end_of("tomorrow", 0.0)


def test_what_cannot_end_is_not_started_and_named(capfd):
    begun(cells("norm=bn", "batch=2", "seed=7")[0], images_per_second=0.01)
    assert run_sweep("norm=bn,gn", "batch=2", "budget=1h") == 0
    shown = capfd.readouterr()
    assert (
        "1 of 2 runs were not started, since the budget ends before they would; the same command runs them:\n"
        "  bn batch=2 seed=0\n"
    ) in shown.err
    assert len(list(Path("runs").glob("*gn8*/result.json"))) == 1  # of which nothing was known
    assert not list(Path("runs").glob("*bn*seed0/seen.jsonl"))
    assert run_sweep("norm=bn,gn", "batch=2", "budget=2000h") == 0
    assert capfd.readouterr().err == ""


def test_what_starts_from_a_run_that_was_not_started_is_not_a_failure(capfd):
    begun(
        compose.expand("null", "smoke", ["norm=bn", "batch=4", "seed=7"]).cells[0].runs[0],
        images_per_second=0.01,
    )
    assert run_sweep("experiment=null", "norm=bn", "batch=2", "init='cell: batch=4'", "budget=1h") == 0
    shown = capfd.readouterr().err
    assert "2 of 2 runs were not started" in shown and "failed" not in shown


def test_a_budget_that_is_none_is_one_line(capfd):
    assert run_sweep("budget=soon") == 2
    assert capfd.readouterr().err.count("\n") == 1
