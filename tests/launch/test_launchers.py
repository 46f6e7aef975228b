"""A cluster's launcher: submitit, through its local executor, which preempts and requeues as Slurm does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.warm import crowding

ROOT = Path(__file__).parents[2]
pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
pytestmark = [pytest.mark.dist, pytest.mark.slow]


def processes_of(folder: Path, word: str) -> list[int]:
    """Processes that run in a folder and have a word in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if word.encode() in command and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_for(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_preempted_job_saves_is_requeued_and_goes_on(tmp_path: Path) -> None:
    sweep = subprocess.Popen(
        [
            sys.executable, "-m", "gnexp", "sweep", "experiment=null", "scale=smoke", "norm=bn", "batch=2",
            "recipe.epochs=6", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=600",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        wait_for(
            lambda: any(path.read_text(encoding="utf-8") for path in tmp_path.glob("runs/*/metrics.jsonl"))
        )
        (job,) = processes_of(tmp_path, "submitit.core._submit")
        os.kill(job, signal.SIGUSR2)
        out, err = sweep.communicate(timeout=120 * crowding())
    finally:
        sweep.kill()
    assert sweep.returncode == 0, out + err
    (run_dir,) = tmp_path.glob("runs/*")
    assert len(json.loads((run_dir / "env.json").read_text(encoding="utf-8"))) == 2  # two segments
    log = (run_dir / "log.txt").read_text(encoding="utf-8")
    assert "the same command goes on from there" in log and "goes on from the checkpoint of epoch" in log
    assert json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["status"] == "finished"
