"""The benchmark of waiting threads: each setting reaches the process that is measured, and no other speaks for it."""

from pathlib import Path

import pytest

from tests.benchmarks.benchmark import load_benchmark

CHILD = """
import json, os
names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")
print(json.dumps([1.5, [os.environ.get(name) for name in names]]))
"""


def test_each_setting_is_its_processes_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bench = load_benchmark("bench_threads")
    child = tmp_path / "child.py"
    child.write_text(CHILD, encoding="utf-8")
    monkeypatch.setattr(bench, "__file__", str(child))
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    with bench.neighbour(1):
        found = {name: bench.measure_apart(name, 2, 4, "/nowhere")[1] for name in bench.SETTINGS}
    assert found == {
        "one thread": [None, None, None, "1"],
        "as it is": [None, None, None, "4"],
        "OMP_WAIT_POLICY=passive": ["passive", None, None, "4"],
        "GOMP_SPINCOUNT=0": [None, "0", None, "4"],
        "KMP_BLOCKTIME=0": [None, None, "0", "4"],
    }
