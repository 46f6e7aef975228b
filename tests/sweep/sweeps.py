"""What tests of sweeps share: the basic launcher in this process, a fake worker, and a folder of their own."""

import json
import signal
import sys
from pathlib import Path

import pytest

from gnexp.cli import main as cli
from gnexp.config import science
from gnexp.launch import launch
from gnexp.runs.result import Result

FAKE = str(Path(__file__).parents[1] / "fake_trainer.py")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "TRAINER", (sys.executable, FAKE))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # set by the cli; restored after each test
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run_sweep(*words):
    return cli.main(["sweep", "scale=smoke", "hydra/launcher=basic", *words])


def order_of_runs():
    lines = [
        (json.loads(line), path.parent.name)
        for path in Path("runs").glob("*/seen.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return [name for _, name in sorted(lines, key=lambda pair: pair[0]["time"])]


def results_of(expansions, left_out=()):
    """Results of every run but some, recorded in kept/."""
    for run in (run for e in expansions for cell in e.cells for run in cell.runs):
        if run.run_id not in left_out:
            write_result(run, Path(f"kept/runs/{run.run_id}.json"))


def write_result(run, path, **changes):
    values = {
        "metrics": {"val/top1_error": 1.0},
        "series": [],
        "num_parameters": 1,
        "env": [],
        "seconds": 1.0,
    }
    values |= {"scale": run.scale, "status": "finished", "science": science(run), "data_fingerprint": "0"}
    Result(run_id=run.run_id, label=run.label, **(values | changes)).save(path)
