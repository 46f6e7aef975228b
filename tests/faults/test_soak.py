"""`make soak` in little: five runs hit at random moments; and it tells a run that differs."""

import json
from pathlib import Path

import pytest

from tests.faults import soak, tiny
from tests.faults.soak import main


@pytest.mark.dist
def test_five_runs_hit_at_random_moments_end_equal(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["5", "--share", "0", "--kills", "3"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "5 of 5 runs ended equal to the uninterrupted one (" in said and "seed " in said


def test_a_run_that_differs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compared with the run of another seed."""
    other = tiny.write_spec(tmp_path / "other", seed=1)
    tiny.train_whole(other)
    expected = tiny.contents(other.parent)
    run = soak.Soaked("one process", tmp_path / "run", tmp_path / "photographs")
    tally = soak.soak(run, 0.5, expected, "0", 1)
    assert not tally.is_equal and tally.difference.startswith("AssertionError at /weights")
    assert json.loads((run.directory / "result.json").read_text())["status"] == "finished"
