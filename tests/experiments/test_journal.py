"""The growing files: appended whole, cut back on resume."""

import json
from pathlib import Path

import pytest

from gnexp.engine.train import EpochRecord
from gnexp.experiments.journal import Journal
from gnexp.runs.directory import RunDirectory


def record(epoch: int) -> EpochRecord:
    timing = {"epoch": epoch, "train_seconds": 1.0, "eval_seconds": 0.5, "images_per_second": 10.0}
    return EpochRecord(metrics={"epoch": epoch, "train/loss": 1 / epoch}, timing=timing)


def test_lines_past_the_checkpoint_are_cut_back(tmp_path: Path) -> None:
    with Journal(RunDirectory(tmp_path), done_epochs=0) as journal:
        for epoch in (1, 2, 3):
            journal.add(record(epoch))
    with Journal(RunDirectory(tmp_path), done_epochs=2) as journal:
        journal.add(record(3))
        metrics, timing = journal.records()
    assert [line["epoch"] for line in metrics] == [line["epoch"] for line in timing] == [1, 2, 3]
    assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").count("\n") == 3


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    with Journal(RunDirectory(tmp_path), done_epochs=0) as journal:
        journal.add(record(1))
    with open(tmp_path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"epoch": 2, "tra')
    with Journal(RunDirectory(tmp_path), done_epochs=1) as journal:
        assert [line["epoch"] for line in journal.records()[0]] == [1]


@pytest.mark.parametrize("name", ["metrics.jsonl", "timing.jsonl"])
def test_lost_lines_are_an_error_and_not_a_gap(tmp_path: Path, name: str) -> None:
    with Journal(RunDirectory(tmp_path), done_epochs=0) as journal:
        for epoch in (1, 2, 3):
            journal.add(record(epoch))
    lines = (tmp_path / name).read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / name).write_text(lines[0] + lines[2], encoding="utf-8")
    with pytest.raises(ValueError, match=f"{name} has lost lines of the 3 epochs .* delete"):
        Journal(RunDirectory(tmp_path), done_epochs=3)


def test_every_segment_has_its_entry(tmp_path: Path) -> None:
    for started in ("a", "b"):
        with Journal(RunDirectory(tmp_path), done_epochs=0) as journal:
            segments = journal.add_env({"started": started})
    assert (
        segments
        == [{"started": "a"}, {"started": "b"}]
        == json.loads((tmp_path / "env.json").read_text(encoding="utf-8"))
    )
