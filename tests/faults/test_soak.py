"""Kills at random moments, a few of them: `make soak N=100` is the long form."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.dist
@pytest.mark.slow
def test_five_runs_that_are_killed_end_equal() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "soak.py", "--runs", "5", "--kills", "1", "--seed", "1"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("5 of 5 runs ended equal to the uninterrupted one; ")
