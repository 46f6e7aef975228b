"""The command with real training, at smoke scale in a temporary folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gnexp.cli import main as cli
from tests.warm import crowding, without_digest_notes

ROOT = Path(__file__).parents[2]
# One thread a run: these are tiny, and a second thread beside another run only waits.
SMOKE = ["scale=smoke", "threads=1", "batch=4", "data.num_train=64", "data.num_val=40"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which `gnexp train` was run, and how that ended; not to be changed."""
    folder = tmp_path_factory.mktemp("work")
    return folder, gnexp(folder, "train", "norm=gn", *SMOKE)


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of it."""
    shutil.copytree(trained[0], tmp_path / "work")
    return tmp_path / "work"


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "gnexp", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def gnexp(folder, *words):
    process = start(folder, *words)
    out, err = process.communicate(timeout=280 * crowding())
    return process.returncode, out, err


def results(folder, runs_dir="runs"):
    return sorted(path.parent.name.split("-", 3)[3] for path in (folder / runs_dir).glob("*/result.json"))


def processes_in(folder):
    """Command lines of living processes that name a folder: trainers carry their spec's path."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode()
            cwd = os.readlink(path.parent / "cwd")
        except OSError:
            continue
        if cwd == str(folder) and "gnexp" in words:
            found.append(words)
    return found


def test_train_makes_a_result_and_again_says_so(trained):
    folder, (code, out, err) = trained
    assert code == 0, err
    assert "epoch 2/2" in out
    (run_dir,) = (folder / "runs").iterdir()
    result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    assert result["status"] == "finished"
    assert 0 <= result["metrics"]["val/top1_error"] <= 100
    assert (
        json.loads((run_dir / "spec.json").read_text(encoding="utf-8"))["run_id"]
        == result["run_id"]
        == run_dir.name[:12]
    )
    code, out, err = gnexp(folder, "train", "norm=gn", *SMOKE)
    assert (code, without_digest_notes(err)) == (0, "")
    assert (
        out == f"already finished: {result['metrics']['val/top1_error']:.1f} % error in runs/{run_dir.name}\n"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["runs"]  # no outputs/, no .hydra


@pytest.mark.usefixtures("warm")
def test_eval_scores_the_final_weights_as_training_did(folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    (run_dir,) = (folder / "runs").iterdir()
    assert cli.main(["eval", f"run={run_dir.name[:8]}"]) == 0
    out = capfd.readouterr().out
    error = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["metrics"]["val/top1_error"]
    assert out.splitlines()[-1] == f"worker0     {error:.2f}"


@pytest.mark.slow
def test_a_sweep_on_joblib_runs_what_is_left_and_lists_what_fails(folder):
    """3 groups divide no layer's channels: known only to the trainer."""
    grid = ["experiment=null", "norm=gn", "norm.num_groups=3,8,2", *SMOKE]
    code, out, err = gnexp(folder, "sweep", *grid)
    assert code == 1, err
    assert "3 runs: 1 done, 2 to do" in out  # train made the run with 8 groups
    assert results(folder) == ["gn2-batch4-seed0", "gn8-batch4-seed0"]
    assert "1 of 2 runs failed" in err
    assert "norm.num_groups=3" in err and "log.txt" in err
    assert "Traceback" not in out + err
    code, out, err = gnexp(folder, "sweep", "dry_run=true", *grid)
    assert (code, without_digest_notes(err)) == (0, "")
    assert out.endswith("3 runs: 2 done, 1 to do\n")


@pytest.mark.usefixtures("warm")
def test_a_sweep_on_the_basic_launcher(folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    assert cli.main(["sweep", "norm=bn,ln", "experiment=norms", "hydra/launcher=basic", *SMOKE]) == 0
    out, err = capfd.readouterr()
    assert without_digest_notes(err) == "" and "[2/2] " in out
    assert {"bn-batch4-seed0", "ln-batch4-seed0"} < set(results(folder))


@pytest.mark.parametrize(
    ("to", "launcher"),
    [
        ("group", "joblib"),
        pytest.param("parent", "basic", marks=pytest.mark.slow),
        pytest.param("group", "basic", marks=pytest.mark.slow),
        pytest.param("parent", "joblib", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_ends_a_sweep_and_its_children(tmp_path, to, launcher):
    """From a terminal the signal reaches the whole group; from `kill -INT` the parent alone."""
    long = [
        *SMOKE,
        "recipe.epochs=500",
        "norm=gn",
        "seeds=2",
        "experiment=null",
        f"hydra/launcher={launcher}",
    ]
    process = start(tmp_path, "sweep", *long)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/metrics.jsonl")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (os.killpg if to == "group" else os.kill)(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60 * crowding())
    assert process.returncode == 130, err
    assert (
        without_digest_notes(err)
        == "gnexp: interrupted with 0 of 2 runs done; the same command goes on from there\n"
    )
    deadline = time.monotonic() + 20
    while processes_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGUSR2, 75)])
def test_a_signal_while_the_config_is_composed_is_one_line(tmp_path, number, code):
    """In the midst of Hydra's code, where an exception would come out as its own error or a traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gnexp", "train", "scale=smoke"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    maps = Path(f"/proc/{process.pid}/maps")
    while "_yaml" not in maps.read_text(encoding="utf-8"):  # Hydra is being imported
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=30 * crowding())
    assert (process.returncode, err) == (code, "gnexp: stopped before anything was begun\n")
    assert not (tmp_path / "runs").exists()
