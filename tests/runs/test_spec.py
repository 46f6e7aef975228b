"""What a trainer is told: written whole or not at all, and read by the gnexp that knows its format."""

import json
import os

import pytest

from gnexp.config import RunConfig
from gnexp.runs.directory import RunDirectory
from gnexp.runs.spec import load_spec, recorded_id, write_spec


def test_a_full_disk_is_a_users_mistake_and_the_old_spec_stays(tmp_path, monkeypatch):
    run = RunConfig()
    spec = write_spec(run, RunDirectory(tmp_path / "run"))
    before = spec.read_text(encoding="utf-8")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ValueError, match="No space left on device"):
        write_spec(run, RunDirectory(tmp_path / "run"))
    assert spec.read_text(encoding="utf-8") == before


def test_another_runs_directory_is_refused_and_a_torn_spec_is_written_anew(tmp_path):
    spec = write_spec(RunConfig(seed=1), RunDirectory(tmp_path))
    with pytest.raises(
        ValueError, match=f"describes run {RunConfig(seed=1).run_id}, not {RunConfig().run_id}"
    ):
        write_spec(RunConfig(), RunDirectory(tmp_path))
    spec.write_text('{"format": 1, "conf', encoding="utf-8")
    write_spec(RunConfig(), RunDirectory(tmp_path))
    assert json.loads(spec.read_text(encoding="utf-8"))["run_id"] == RunConfig().run_id


@pytest.mark.parametrize(
    ("found", "whose"), [(2, "a newer gnexp"), (0, "another gnexp"), ("1", "another gnexp")]
)
def test_a_spec_of_another_format_is_neither_read_nor_written_over(tmp_path, found, whose):
    directory = RunDirectory(tmp_path)
    path = write_spec(RunConfig(), directory)
    other = json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"format": found})
    path.write_text(other, encoding="utf-8")
    said = rf"spec.json has format {found}, of {whose}; this one reads format 1: go on with the gnexp that wrote it, or"
    for read in (load_spec, recorded_id, lambda path: write_spec(RunConfig(), directory)):
        with pytest.raises(ValueError, match=said):
            read(path)
    assert path.read_text(encoding="utf-8") == other


def test_a_spec_without_a_format_is_damaged(tmp_path):
    path = write_spec(RunConfig(), RunDirectory(tmp_path))
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["format"]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ValueError, match="is not a run's spec .it names no format.; start the run again"):
        load_spec(path)


def test_a_config_of_an_older_gnexp_is_said_to_be_that(tmp_path):
    """Before a kind owned its fields, a VGG's spec held a block, and was said to be no spec at all."""
    path = write_spec(RunConfig(), RunDirectory(tmp_path))
    values = json.loads(path.read_text(encoding="utf-8"))
    values["config"]["model"]["classifier_pool"] = 7
    path.write_text(json.dumps(values), encoding="utf-8")
    said = (
        r"has a config that this gnexp does not read \(model.classifier_pool is not for kind resnet, got 7; .*\): "
        "go on with the gnexp that wrote it, or start the run again with gnexp train$"
    )
    with pytest.raises(ValueError, match=said):
        load_spec(path)
