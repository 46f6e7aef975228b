"""What a person sees, and what only the log gets."""

import dataclasses
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from gnexp.config import ModelConfig, model_config, norm_config
from gnexp.config.left_open import not_stated
from gnexp.data.remarks import FileWarning
from gnexp.engine.processes import Processes
from gnexp.engine.state import build
from gnexp.engine.train import EpochRecord, StepRecord
from gnexp.experiments.pace import Pace
from gnexp.experiments.screen import Screen
from gnexp.runs.directory import RunDirectory
from tests.experiments.runs import SMOKE

RECORD = EpochRecord(
    metrics={"epoch": 1, "lr": 0.1, "train/loss": 2.0, "val/top1_error": 12.348},
    timing={"epoch": 1, "train_seconds": 1.0, "eval_seconds": 1.0, "images_per_second": 1234.0},
)


def test_an_epoch_is_a_line_on_the_screen_and_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen(RunDirectory(tmp_path))
    screen.show(StepRecord(epoch=1, step=1, num_steps=2, loss=2.0, is_due=False))
    screen.show(RECORD)
    out = capsys.readouterr().out
    assert out == "epoch 1/0: train/loss 2, val/top1_error 12.35 (1234 images/s)\n"
    assert out.strip() in (tmp_path / "log.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(("speed", "said"), [(0.034, "0.034"), (0.5, "0.5"), (9.96, "10"), (1234.5, "1234")])
def test_a_slow_machine_is_no_standing_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], speed: float, said: str
) -> None:
    record = dataclasses.replace(RECORD, timing={**RECORD.timing, "images_per_second": speed})
    Screen(RunDirectory(tmp_path)).show(record)
    assert f"({said} images/s)" in capsys.readouterr().out


def test_a_file_is_remarked_on_once_and_of_many_a_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen(RunDirectory(tmp_path))
    for i in (0, 0, *range(50), 1):
        screen.remark(FileWarning(f"/{i}.jpg", "Corrupt EXIF data"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [f"note: /{i}.jpg: Corrupt EXIF data" for i in range(10)]
    assert lines[-1] == "note: decoders remark on more files; gnexp data check names them all"


def test_quiet_means_the_log_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNEXP_QUIET", "1")
    Screen(RunDirectory(tmp_path)).show(RECORD)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == ""
    assert "images/s" in (tmp_path / "log.txt").read_text(encoding="utf-8")


def test_the_options_that_the_paper_leaves_open() -> None:
    assert not_stated(SMOKE)[:2] == ["norm.eps=1e-05", "norm.momentum=0.1"]
    brn = norm_config(kind="brn", momentum=0.1, r_max=1.5, d_max=0.5, renorm_ramp=(0.125, 0.625, 1.0))
    assert "norm.renorm_ramp=[0.125, 0.625, 1.0]" in not_stated(dataclasses.replace(SMOKE, norm=brn))


def test_a_terminal_has_one_line_that_tells_how_far_a_run_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    screen = started(tmp_path)
    capsys.readouterr()
    screen.show(RECORD)
    for step in (1, 2):
        screen.show(StepRecord(epoch=2, step=step, num_steps=2, loss=1.5, is_due=False))
    screen.show(dataclasses.replace(RECORD, metrics={**RECORD.metrics, "epoch": 2}))
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2  # an epoch each
    shown = captured.err.rsplit("epoch 2/3", 1)[1].split("\r")[0]
    found = re.fullmatch(
        r", step 2/2, loss 1\.500, [\d.e+]+ images/s, [\d.]+ s left, last 12\.3 % error *", shown
    )
    assert found, captured.err


def test_without_a_terminal_a_long_epoch_says_a_line_now_and_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = started(tmp_path)
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    screen._pace = Pace(3, 8, lambda: clock[0])
    screen._logged_at = 0.0
    capsys.readouterr()
    screen.show(dataclasses.replace(RECORD, timing={**RECORD.timing, "eval_seconds": 30.0}))
    for step in range(1, 1001):
        clock[0] += 1.0
        screen.show(StepRecord(epoch=2, step=step, num_steps=1000, loss=1.5, is_due=False))
    epoch, *steps = capsys.readouterr().out.splitlines()
    assert epoch.startswith("epoch 1/3: ")
    # 400 steps of this epoch, 1000 of the next, and two evaluations: 1460 s.
    assert steps == ["epoch 2/3, step 600/1000, loss 1.500, 8 images/s, 24.3 min left, last 12.3 % error"]


@pytest.mark.parametrize(("kind", "times"), [("gn", 1), ("bn", 3)])
def test_a_norm_without_running_statistics_has_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, times: int
) -> None:
    screen = started(tmp_path, norm=SMOKE.norm if kind == "bn" else norm_config(kind=kind))
    capsys.readouterr()
    three = {f"val/top1_error{stats}": 12.348 for stats in ("", "_mean", "_precise")}
    screen.show(dataclasses.replace(RECORD, metrics={**RECORD.metrics, **three}))
    assert capsys.readouterr().out.count("12.35") == times


def test_the_screen_says_what_runs_and_the_log_what_the_paper_leaves_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started(tmp_path, recipe=dataclasses.replace(SMOKE.recipe, epochs=1, report_epochs=1))
    out = capsys.readouterr().out
    assert "2 workers x 4 images, lr 0.0125, 1 epoch of 64 images, " in out
    assert "does not state" not in out
    log = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "the paper does not state: norm.eps=1e-05, " in log


@pytest.mark.parametrize("model", [SMOKE.model, model_config(name="timm", kind="timm", arch="test_resnet")])
def test_a_frozen_norm_that_starts_from_nothing_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: ModelConfig
) -> None:
    frozen = norm_config(kind="frozen_bn")
    started(tmp_path, norm=frozen, model=model)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "frozen_bn holds" in line)
    assert line.startswith("warning: norm=frozen_bn holds fixed what a trained bn has learnt, and this run")
    for changes in ({"norm": frozen, "init": "0" * 12}, {"norm": SMOKE.norm}):
        started(tmp_path, model=model, **changes)
        assert "holds fixed" not in capsys.readouterr().out


def started(folder: Path, **changes: Any) -> Screen:
    """A screen that was told of a run."""
    run = dataclasses.replace(SMOKE, **changes)
    screen = Screen(RunDirectory(folder))
    screen.start(run, build(run, torch.device("cpu"), Processes()))
    return screen
