"""One writer per directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gnexp.runs.directory import RunDirectory
from gnexp.runs.lock import locked

ROOT = Path(__file__).parents[2]


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    with (
        locked(RunDirectory(tmp_path)),
        pytest.raises(ValueError, match=f"is being written by pid {os.getpid()} on "),
        locked(RunDirectory(tmp_path)),
    ):
        pass


def test_it_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(RunDirectory(tmp_path)):
            pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    code = f"""
import os, pathlib, signal
from gnexp.runs.directory import RunDirectory
from gnexp.runs.lock import locked
with locked(RunDirectory(pathlib.Path({str(tmp_path)!r}))):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert killed.returncode == -9
    with locked(RunDirectory(tmp_path)):
        pass
