"""The benchmark of memory measures what it says, and images of many instances take little of it."""

import json
import sys
from pathlib import Path

import pytest

from tests.benchmarks.benchmark import load_benchmark


def test_a_row_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process; the command gives each row one of its own."""
    bench = load_benchmark("bench_memory")
    for name, sides in (("small", (64, 64)), ("large", (96, 128))):
        bench.write_set(tmp_path / name, height=sides[0], width=sides[1], instances=3)
    folders = ["--folders", str(tmp_path / "small"), str(tmp_path / "large"), "--pixels", "64"]
    for row in bench.ROWS[:3]:
        monkeypatch.setattr(sys, "argv", ["bench_memory.py", "--row", row, *folders])
        bench.main()
        found = json.loads(capsys.readouterr().out)
        assert found.keys() == {"megabytes", "seconds"} and found["megabytes"] >= 0
