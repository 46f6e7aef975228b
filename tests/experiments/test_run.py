"""One run from spec to result: its files, its resume, and what it refuses."""

import dataclasses
import functools
import json
import os
import re
import statistics
import sys
from pathlib import Path

import pytest
import torch
from tqdm import tqdm

from gnexp.config import RecipeConfig, norm_config, science
from gnexp.config.left_open import not_stated
from gnexp.engine.checkpoint import Checkpoints, load_tensors
from gnexp.engine.processes import Processes
from gnexp.engine.train import EpochRecord
from gnexp.experiments import finished as finished_runs
from gnexp.experiments import run as run_module
from gnexp.experiments.finished import evaluate_run, finished_state
from gnexp.experiments.run import train_run
from gnexp.nn.statistics import EVAL_STATS
from gnexp.runs.directory import RunDirectory
from gnexp.runs.lock import locked
from gnexp.runs.result import load_result
from gnexp.runs.spec import Spec, load_spec
from gnexp.system.names import read_reasons
from gnexp.tasks.classification import Classification
from tests.experiments.runs import SMOKE, write_spec
from tests.faults.tiny import photographs, train_until
from tests.grids import thin


def train_spec(path: Path) -> Spec:
    spec = load_spec(path)
    train_run(spec)
    return spec


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_spec(write_spec(tmp_path_factory.mktemp("runs"))).directory.path


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_directory_holds_what_it_should(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "spec.json", "env.json", "metrics.jsonl", "timing.jsonl", "checkpoints", "weights.pt",
        "weights.pt.sha256", "log.txt", "result.json", "status.json",
    }  # fmt: skip
    assert len(list((finished / "tensorboard").iterdir())) == 1
    assert not [name for name in names if name.endswith(".tmp")]
    assert [line["epoch"] for line in lines(finished / "metrics.jsonl")] == [1, 2, 3]
    assert all(line["images_per_second"] > 0 for line in lines(finished / "timing.jsonl"))


def test_the_result_says_what_ran(finished: Path) -> None:
    result = load_result(finished / "result.json")
    assert (result.run_id, result.status, result.scale) == (SMOKE.run_id, "finished", "smoke")
    assert result.science == science(SMOKE)
    assert result.series == lines(finished / "metrics.jsonl")
    # The median over the last report_epochs epochs, each metric for itself.
    for key in ("train/loss", "val/top1_error", "val/top1_error_mean", "val/top1_error_precise"):
        assert result.metrics[key] == statistics.median([result.series[1][key], result.series[2][key]])
    assert "lr" not in result.metrics and "epoch" not in result.metrics
    (segment,) = result.env
    assert {"commit", "dirty", "torch", "host", "device", "threads", "started", "processor"} <= set(segment)


def test_tensorboard_can_read_the_events(finished: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("val/top1_error")]
    expected = [(line["epoch"], line["val/top1_error"]) for line in lines(finished / "metrics.jsonl")]
    assert found == [(step, pytest.approx(value)) for step, value in expected]


def test_a_finished_run_is_not_run_again(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.iterdir() if path.name != ".lock"}
    train_spec(finished / "spec.json")
    assert before == {path: path.stat().st_mtime_ns for path in finished.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize("stop_after", thin([1, 2]))
def test_an_interrupted_run_goes_on_and_ends_equal(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    path = write_spec(tmp_path)
    spec = load_spec(path)
    real_train = run_module.train

    def interrupted(*arguments):  # type: ignore[no-untyped-def]
        for record in real_train(*arguments):
            yield record
            if isinstance(record, EpochRecord) and record.metrics["epoch"] == stop_after:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_run(spec)
    # What a kill between the record and the checkpoint would leave: a line too many, and half a line.
    with open(spec.directory.metrics, "a", encoding="utf-8") as file:
        file.write('{"epoch": 9, "lr": 1}\n{"epoch": 10, "l')
    train_spec(path)
    assert (spec.directory.metrics).read_bytes() == (finished / "metrics.jsonl").read_bytes()
    expected = load_tensors(finished / "weights.pt", torch.device("cpu"))["model"]
    found = load_tensors(spec.directory.weights, torch.device("cpu"))["model"]
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert len(load_result(spec.directory.result).env) == 2
    assert f"goes on from the checkpoint of epoch {stop_after}" in (spec.directory.log).read_text(
        encoding="utf-8"
    )


def test_divergence_is_a_result(tmp_path: Path) -> None:
    spec = train_spec(
        write_spec(tmp_path, norm=norm_config(kind="none"), recipe=RecipeConfig(epochs=4, base_lr=1e5))
    )
    result = load_result(spec.directory.result)
    assert result.status == "diverged" and result.metrics == {} and len(result.series) < 4
    assert not (spec.directory.weights).exists()
    with pytest.raises(ValueError, match="diverged, so it has no final weights"):
        finished_state(spec)
    log = (spec.directory.log).read_text(encoding="utf-8")
    assert re.search(r"diverged: (the loss became|a gradient is not finite)", log)


def test_evaluation_gives_the_reported_errors_again(finished: Path) -> None:
    series = lines(finished / "metrics.jsonl")
    state = finished_state(load_spec(finished / "spec.json"))
    found = evaluate_run(state, ["worker0", "mean", "precise"], RunDirectory(finished))
    assert found["worker0"] == {"top1_error": series[-1]["val/top1_error"]}
    assert found["mean"] == {"top1_error": series[-1]["val/top1_error_mean"]}
    assert found["precise"] == {"top1_error": series[-1]["val/top1_error_precise"]}


def test_a_terminal_shows_how_far_an_evaluation_is(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = finished_state(load_spec(finished / "spec.json"))
    evaluate_run(state, ["worker0"], RunDirectory(finished))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(finished_runs, "tqdm", functools.partial(tqdm, mininterval=0))
    evaluate_run(state, ["worker0"], RunDirectory(finished))
    num = state.dataset.num_val
    shown = capsys.readouterr().err
    assert shown.startswith("\rval, worker0:   0%") and f" 0/{num} " in shown and f" {num}/{num} " in shown
    assert shown.endswith("\r")  # it is gone at the end


def test_a_norm_without_running_statistics_is_evaluated_once(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(finished_runs, "alike", lambda model, stats: "worker0")
    monkeypatch.setattr(
        finished_runs, "measure_val", lambda state, stats, *_, **__: calls.append(stats) or [(None, [])]
    )
    monkeypatch.setattr(Classification, "aggregate", lambda *arguments: {"top1_error": 1.0})
    state = finished_state(load_spec(finished / "spec.json"))
    found = evaluate_run(state, list(EVAL_STATS), RunDirectory(finished))
    assert found == {stats: {"top1_error": 1.0} for stats in EVAL_STATS}
    assert calls == ["worker0"]


def test_evaluation_of_an_unfinished_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no final weights; finish the run"):
        finished_state(load_spec(write_spec(tmp_path)))


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    with (
        locked(RunDirectory(path.parent)),
        pytest.raises(ValueError, match=r"is being written by pid \d+ on"),
    ):
        train_spec(path)


def test_a_spec_that_is_not_its_own(tmp_path: Path) -> None:
    path = write_spec(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace('"batch": 4', '"batch": 2'), encoding="utf-8")
    with pytest.raises(ValueError, match="says run_id .* its config makes"):
        load_spec(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="is not a run's spec"):
        load_spec(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run_id": "000000000000"}, "belongs to run 000000000000"),
        ({"data": "0" * 64}, "have changed since .* was written"),
    ],
)
def test_a_checkpoint_of_something_else(tmp_path: Path, change: dict[str, str], message: str) -> None:
    path = write_spec(tmp_path)
    saved = {"run_id": SMOKE.run_id, "data": "0" * 64, "state": {}}
    Checkpoints(RunDirectory(path.parent)).save({**saved, **change}, epoch=1, step=0)
    with pytest.raises(ValueError, match=message):
        train_spec(path)


def test_what_the_paper_leaves_open_is_printed(finished: Path) -> None:
    log = (finished / "log.txt").read_text(encoding="utf-8")
    for option in not_stated(SMOKE):
        assert option in log
    assert any(option == "norm.momentum=0.1" for option in not_stated(SMOKE))


def test_images_that_others_stand_in_for_are_listed(tmp_path: Path) -> None:
    """Once each, whatever their names, with the reason; the run goes on, over an epoch's end too."""
    data = photographs(tmp_path / "photographs")
    folder = tmp_path / "photographs" / "train" / "class0"
    odd = [b"a\nb.jpg", b"a\tb.jpg", "a\u2028b.jpg".encode(), "a\u0085b.jpg".encode(), b"\xe9.jpg"]
    names = [os.fsdecode(name) for name in (*odd, b"plain.jpg")]
    for path, name in zip(sorted(folder.iterdir()), names, strict=False):
        path.rename(folder / name).write_bytes(b"no image")
    data = dataclasses.replace(data, on_error="skip", loader_workers=0)
    spec = train_spec(write_spec(tmp_path / "runs", data=data))
    listed = read_reasons(spec.directory.skipped)
    assert listed == {str(folder / name): "not an image that Pillow knows" for name in names}
    log = (spec.directory.log).read_text(encoding="utf-8").split("\n")
    assert (
        sum(
            "warning: 6 file(s) or entries cannot be used as they are; others stand in" in line
            for line in log
        )
        == 1
    )
    result = load_result(spec.directory.result)
    assert (result.status, result.num_skipped) == ("finished", 6)


def test_images_that_cannot_be_read_are_listed_over_segments(tmp_path: Path) -> None:
    """A disk that fails for one image after the other: both are listed, and what was mended counts no more."""
    folder = tmp_path / "photographs" / "train"
    data = dataclasses.replace(photographs(folder.parent), on_error="skip", max_skipped=1, loader_workers=0)
    path = write_spec(tmp_path / "runs", data=data)
    first, second = folder / "class0" / "004.jpg", folder / "class1" / "007.jpg"
    whole = first.read_bytes()
    first.write_bytes(bytes(len(whole)))
    assert train_until(path, 14), "it was to be stopped in its second epoch"
    (path.parent / "skipped.jsonl").unlink()  # as an earlier gnexp left it
    (path.parent / "skipped.txt").write_text(f"{first}\tan empty file\n", encoding="utf-8")
    first.write_bytes(whole)
    second.write_bytes(bytes(second.stat().st_size))
    train_run(load_spec(path))
    assert list(read_reasons(path.parent / "skipped.jsonl")) == [str(first), str(second)]


def test_a_run_that_skips_too_much_ends_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all processes skip together shows after an epoch, the last one too: no command makes that a result."""
    gather = Processes.gather

    def gather_of_two(self: Processes, value: object) -> list[object]:
        other = [{"/other.jpg": "an empty file"}] if isinstance(value, dict) else []
        return [*gather(self, value), *other]

    monkeypatch.setattr(Processes, "gather", gather_of_two)
    folder = tmp_path / "photographs"
    data = dataclasses.replace(photographs(folder), on_error="skip", max_skipped=1, loader_workers=0)
    bad = folder / "train" / "class0" / "004.jpg"
    bad.write_bytes(bytes(bad.stat().st_size))
    recipe = dataclasses.replace(SMOKE.recipe, epochs=1, report_epochs=1)
    path = write_spec(tmp_path / "runs", data=data, recipe=recipe)
    for _ in range(2):
        with pytest.raises(
            ValueError,
            match=r"more than data.max_skipped=1 files or entries cannot be used, see .*skipped.jsonl",
        ):
            train_run(load_spec(path))
    assert not (path.parent / "result.json").exists()
