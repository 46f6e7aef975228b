"""What a person sees, and what only the log gets."""

import dataclasses
from pathlib import Path

import pytest

from gnexp.config import norm_config
from gnexp.data.remarks import FileWarning
from gnexp.engine.train import EpochRecord, StepRecord
from gnexp.experiments.screen import Screen, not_stated
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
