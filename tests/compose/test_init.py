"""init=: however weights are spelled, they give one run; what names none is one line."""

import dataclasses
import json

import pytest

from gnexp.compose.composer import Composer
from gnexp.compose.init import resolve_init
from gnexp.config import RunConfig, from_dict, science, to_dict
from gnexp.config.spelling import spell
from gnexp.runs.result import DIVERGED, FINISHED, Result

DONE = RunConfig(seed=7)


def make_run(runs_dir, run=DONE, status=FINISHED):
    """A run's directory as training leaves it, with a few bytes for weights."""
    run_dir = runs_dir / f"{run.run_id}-{run.label}"
    run_dir.mkdir(parents=True)
    (run_dir / "spec.json").write_text(
        json.dumps({"format": 1, "run_id": run.run_id, "config": to_dict(run)}), encoding="utf-8"
    )
    (run_dir / "weights.pt").write_bytes(b"weights")
    if status:
        Result(
            run_id=run.run_id,
            label=run.label,
            scale=run.scale,
            status=status,
            science=science(run),
            metrics={},
            series=[],
            num_parameters=1,
            data_fingerprint="0",
            env=[],
            seconds=1.0,
        ).save(run_dir / "result.json")
    return run_dir


def test_a_run_is_named_by_its_id_however_it_is_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_dir = make_run(tmp_path / "runs")
    composer = Composer()
    spellings = (DONE.run_id, DONE.run_id[:5], run_dir, f"runs/{run_dir.name}", run_dir / "weights.pt")
    found = {composer.run([f"init={spelling}"]) for spelling in spellings}
    (run,) = found
    assert (run.init, run.init_path) == (DONE.run_id, str(run_dir / "weights.pt"))
    assert run.run_id != composer.run([]).run_id
    assert from_dict(to_dict(run)) == run  # as a spec holds it


def test_a_file_is_named_by_its_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pt").write_bytes(b"weights")
    (tmp_path / "b.pt").write_bytes(b"weights")
    composer = Composer()
    a, absolute, b = (composer.run([f"init={path}"]) for path in ("a.pt", tmp_path / "a.pt", "b.pt"))
    assert a == absolute and a.run_id == b.run_id and b.init_path == str(tmp_path / "b.pt")
    again = composer.run([f"init={a.init}", "init_path=b.pt"])
    assert again == b
    (tmp_path / "a.pt").write_bytes(b"others")
    assert composer.run(["init=a.pt"]).run_id != b.run_id


def test_a_sweep_keeps_what_was_typed_and_looks_in_its_own_runs_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "elsewhere")
    typed = [f"init={DONE.run_id[:6]}", "norm=gn,bn", "runs_dir=elsewhere"]
    expansion = Composer().expand("null", "small", typed)
    named = spell(DONE.run_id[:6])  # in quotes where it looks like a number
    assert [cell.overrides for cell in expansion.cells] == [
        ("scale=small", f"init={named}", "norm=gn"),
        ("scale=small", f"init={named}", "norm=bn"),
    ]
    assert {run.init for _, run in expansion.seed_major} == {DONE.run_id}


@pytest.mark.parametrize("run_id", ["123456789012", "123e45678901", "012345678901"])
def test_an_id_that_looks_like_a_number_is_text(tmp_path, monkeypatch, run_id):
    composer = Composer()
    assert composer.load(composer.flatten([f"init={run_id}"])).init == run_id


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "nothing.pt",
            "init must be a file of weights or a finished run, got nothing.pt: no such file, and no run",
        ),
        (RunConfig(seed=1).run_id, "has not finished; train it first"),
        (RunConfig(seed=2).run_id, "has no final weights .diverged.; choose another run"),
        ("sha256:" + "0" * 64, "names a file by its content alone: give init=PATH"),
    ],
)
def test_what_names_no_weights_is_one_line(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs")
    make_run(tmp_path / "runs", RunConfig(seed=1), status=None)
    make_run(tmp_path / "runs", RunConfig(seed=2), status=DIVERGED)
    with pytest.raises(ValueError, match=message) as caught:
        Composer().run([f"init={given}"])
    assert "\n" not in str(caught.value)


def test_a_path_must_be_that_of_the_named_content(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(b"weights")
    with pytest.raises(ValueError, match="init_path=.*a.pt must be the file of init=sha256:0"):
        resolve_init("sha256:" + "0" * 64, str(path), tmp_path)


def test_a_runs_config_holds_resolved_names_alone():
    with pytest.raises(ValueError, match="init must be a run_id or sha256:HEX once it is resolved, got a.pt"):
        dataclasses.replace(DONE, init="a.pt", init_path="/a.pt")


def test_init_path_alone_is_refused():
    with pytest.raises(ValueError, match="init_path=/a.pt goes with init, which finds it; give init=PATH"):
        Composer().run(["init_path=/a.pt"])
