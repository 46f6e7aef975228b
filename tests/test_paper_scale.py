"""The paper's network on photographs, through the command line: two processes, killed, resumed, compared."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.photographs import save_photographs
from gnexp.engine.checkpoint import load_tensors
from gnexp.runs.directory import RunDirectory

pytestmark = [pytest.mark.slow, pytest.mark.dist]
ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")


def start(folder: Path, photographs: Path) -> subprocess.Popen[str]:
    words = [
        "scale=paper", "recipe=smoke", "recipe.epochs=2", "data=imagefolder", "data.name=photographs",
        "data.num_classes=2", f"data.root={photographs}", "norm=bn", "batch=2", "workers=4", "processes=2", "threads=1",
        "checkpoint_minutes=0", f"runs_dir={folder}",
    ]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "gnexp", "train", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ranks_of(run_dir: Path) -> list[int]:
    """The trainers of a run: torchrun's children, not their loader processes, whose words are the same."""
    parents, found = set(), {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if str(run_dir / "spec.json").encode() in command:
            if b"gnexp.launch.torchrun" in command:
                parents.add(int(entry.name))
            else:
                found[int(entry.name)] = parent
    return sorted(pid for pid, parent in found.items() if parent in parents)


def test_resnet50_at_224_killed_in_the_middle_ends_equal(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    save_photographs(photographs, {"train": 26, "val": 5})
    whole = start(tmp_path / "whole", photographs)
    out, _ = whole.communicate(timeout=600)
    assert whole.returncode == 0, out
    killed = start(tmp_path / "killed", photographs)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("killed/*/checkpoints/*step000000002.pt")):
        assert time.monotonic() < deadline and killed.poll() is None
        time.sleep(0.02)
    (run_dir,) = (tmp_path / "killed").iterdir()
    os.kill(ranks_of(run_dir)[-1], signal.SIGKILL)
    out, _ = killed.communicate(timeout=60)
    assert killed.returncode == 1 and "was ended by SIGKILL" in out
    again = start(tmp_path / "killed", photographs)
    out, _ = again.communicate(timeout=600)
    assert again.returncode == 0 and "goes on from the checkpoint of epoch 1, step" in out, out
    (reference,) = (tmp_path / "whole").iterdir()
    assert (run_dir / "metrics.jsonl").read_bytes() == (reference / "metrics.jsonl").read_bytes()
    for path in ("weights.pt", f"checkpoints/{RunDirectory(reference).all_checkpoints[0].name}"):
        ours, expected = (load_tensors(folder / path, CPU) for folder in (run_dir, reference))
        assert_equal(ours, expected, path)


def assert_equal(ours: object, expected: object, name: str) -> None:
    """Every tensor, bit for bit, and every number but the times."""
    if isinstance(expected, dict):
        assert isinstance(ours, dict) and ours.keys() == expected.keys(), name
        for key in expected:
            assert_equal(ours[key], expected[key], f"{name}/{key}")
    elif isinstance(expected, torch.Tensor):
        assert isinstance(ours, torch.Tensor) and torch.equal(ours, expected), name
    elif "seconds" not in name:
        assert ours == expected, name
