"""Which runs' speed a plan takes: alike ones first, on this machine alone."""

import dataclasses
import json

import pytest

from gnexp.config import norm_config, science
from gnexp.runs.directory import RunDirectory
from gnexp.runs.result import FINISHED, Result
from gnexp.runs.spec import write_spec
from gnexp.runs.throughput import choose_speed, read_speeds
from tests.experiments.runs import SMOKE

HERE = {"device": "cpu", "processor": "fast"}
GN = norm_config(kind="gn", num_groups=8)


def begun(runs_dir, run, *, epochs=2, machine=HERE, train_seconds=4.0):
    """A run's directory after some epochs: 16 images in a second of training, a quarter as long in evaluation."""
    directory = runs_dir / f"{run.run_id}-{run.label}"
    directory.mkdir(parents=True)
    write_spec(run, RunDirectory(directory))
    (directory / "env.json").write_text(json.dumps([{"device": "old"}, machine]), encoding="utf-8")
    line = {"train_seconds": train_seconds, "eval_seconds": train_seconds / 4}
    line["images_per_second"] = 64 / train_seconds
    (directory / "timing.jsonl").write_text((json.dumps(line) + "\n") * epochs, encoding="utf-8")
    return directory


def recorded(results_dir, run, seconds):
    result = Result(
        run_id=run.run_id,
        label=run.label,
        scale=run.scale,
        status=FINISHED,
        science=science(run),
        metrics={},
        series=[{}] * 3,
        num_parameters=1,
        data_fingerprint="0",
        env=[HERE],
        seconds=seconds,
    )
    result.save(results_dir / "runs" / f"{run.run_id}.json")


def test_a_run_that_is_alike_but_for_its_seed_and_recipe(tmp_path):
    other_recipe = dataclasses.replace(SMOKE.recipe, epochs=9)
    begun(tmp_path / "runs", dataclasses.replace(SMOKE, seed=4, recipe=other_recipe))
    begun(tmp_path / "runs", dataclasses.replace(SMOKE, batch=8), train_seconds=1.0)
    found = choose_speed(SMOKE, HERE, read_speeds(tmp_path / "runs", tmp_path / "results"))
    assert found.images_per_second == pytest.approx(64 / 5) and found.is_alike


def test_else_the_same_network_in_other_batches_and_on_no_other_machine(tmp_path):
    speeds = [2.0, 4.0, 8.0]
    for seed, seconds in enumerate(speeds):
        begun(tmp_path, dataclasses.replace(SMOKE, batch=8, seed=seed), train_seconds=seconds)
    begun(tmp_path, dataclasses.replace(SMOKE, norm=GN), train_seconds=1.0)
    elsewhere = {**HERE, "device": "a GPU"}
    begun(tmp_path, SMOKE, machine=elsewhere, train_seconds=0.1)
    found = choose_speed(SMOKE, HERE, read_speeds(tmp_path, tmp_path / "results"))
    assert found.images_per_second == pytest.approx(64 / 5) and not found.is_alike
    assert choose_speed(SMOKE, {**HERE, "processor": "slow"}, read_speeds(tmp_path, tmp_path)) is None


def test_another_number_of_processes_is_another_speed(tmp_path):
    """What says nothing of its processes was one."""
    begun(tmp_path, SMOKE, train_seconds=4.0)
    two = dataclasses.replace(SMOKE, processes=2)
    assert choose_speed(two, HERE, read_speeds(tmp_path, tmp_path)) is None
    begun(tmp_path, dataclasses.replace(two, seed=1), machine={**HERE, "processes": 2}, train_seconds=2.0)
    speeds = read_speeds(tmp_path, tmp_path)
    assert choose_speed(SMOKE, HERE, speeds).images_per_second == pytest.approx(64 / 5)
    assert choose_speed(two, HERE, speeds).images_per_second == pytest.approx(64 / 2.5)
    assert choose_speed(dataclasses.replace(SMOKE, processes=4, workers=4), HERE, speeds) is None


def test_a_recorded_result_counts_and_what_is_torn_does_not(tmp_path):
    recorded(tmp_path / "results", SMOKE, seconds=2.0)
    torn = begun(tmp_path / "runs", dataclasses.replace(SMOKE, seed=1))
    (torn / "spec.json").write_text("{", encoding="utf-8")
    begun(tmp_path / "runs", dataclasses.replace(SMOKE, seed=2), epochs=0)
    (tmp_path / "results" / "runs" / "torn.json").write_text("{", encoding="utf-8")
    (speed,) = read_speeds(tmp_path / "runs", tmp_path / "results")
    assert speed.images_per_second == 3 * 64 / 2.0
