"""Faults 5, 6, 7, 16 and 21: a process of a run dies, hangs, fails, or is one too many."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gnexp.engine.checkpoint import Checkpoints
from gnexp.runs.directory import RunDirectory
from gnexp.runs.status import read_status
from tests.faults import tiny
from tests.faults.started import (
    ROOT,
    checkpoints,
    children_of,
    command,
    is_alive,
    pair,
    processes_in,
    steps_saved,
    trainer,
    wait_until,
)
from tests.faults.tiny import STEPS, TINY, assert_equal, contents, train_whole, write_spec
from tests.grids import thin
from tests.warm import crowding, without_digest_notes

LONG = dataclasses.replace(TINY.recipe, epochs=500)
COMMAND = (
    "train", "scale=smoke", "norm=bn", "batch=4", "workers=2", "processes=2", "threads=1", "device=cpu",
    "data.num_train=37", "data.num_val=21", "recipe.epochs=60", "checkpoint_minutes=0",
)  # fmt: skip


@pytest.mark.dist
@pytest.mark.parametrize(
    ("target", "number", "said"),
    thin(
        [
            ("rank 1", signal.SIGKILL, "process 1 of the run was ended by SIGKILL; was memory short?"),
            ("verb", signal.SIGKILL, None),
            ("torchrun", signal.SIGUSR2, "stopped; the same command goes on from the last checkpoint"),
            ("torchrun", signal.SIGKILL, "the trainer was ended by SIGKILL; was memory short?"),
            ("verb", signal.SIGTERM, "stopped; the same command goes on from the last checkpoint"),
            ("rank 1", signal.SIGUSR1, "stopped; the same command goes on from the last checkpoint"),
        ]
    ),
)
def test_fault_06_a_process_of_the_real_command_ends(
    tmp_path: Path, target: str, number: int, said: str | None
) -> None:
    """Verb, torchrun and two processes: all are gone within 10 s, with one line, and nothing is lost."""
    with command(*COMMAND, cwd=tmp_path) as verb:
        wait_until(lambda: list(tmp_path.glob("runs/*/checkpoints/*.pt")), "a checkpoint", 90)
        (directory,) = (tmp_path / "runs").iterdir()
        words = processes_in(tmp_path)
        torchrun = next(pid for pid, line in words.items() if "gnexp.launch.torchrun" in line)
        ranks = {
            int(_environment(pid)["RANK"]): pid
            for pid, line in words.items()
            if "gnexp.launch.trainer train" in line
        }
        assert set(ranks) == {0, 1}
        before = steps_saved(directory)
        pid = {"verb": verb.pid, "torchrun": torchrun, "rank 1": ranks[1]}[target]
        begin = time.monotonic()
        os.kill(pid, number)
        wait_until(lambda: not processes_in(tmp_path), f"an end of {words}", 10)
        assert time.monotonic() - begin < 10 * crowding()
        _, errors = verb.communicate(timeout=10 * crowding())
    is_in_order = number != signal.SIGKILL
    if said is not None:
        # Of a killed torchrun the verb tells, and the first process that it has saved.
        assert without_digest_notes(errors).count("\n") == (
            2 if (target, number) == ("torchrun", signal.SIGKILL) else 1
        )
        assert f"gnexp: {said}\n" in errors
        assert verb.returncode == (75 if is_in_order else 1)
    # A killed verb or torchrun is noticed by the processes themselves, which save and leave.
    saves = is_in_order or target in ("torchrun", "verb")
    assert read_status(RunDirectory(directory)) == ("preempted" if saves else "running")
    assert steps_saved(directory) >= before > 0
    for path in checkpoints(directory):
        hashed = subprocess.run(
            ["sha256sum", "--check", "--status", f"{path.name}.sha256"], cwd=path.parent, check=False
        )
        assert hashed.returncode == 0
    assert not list(directory.glob("**/.*.tmp"))


def _environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


@pytest.mark.dist
@pytest.mark.slow
def test_fault_05_a_second_ctrl_c_ends_processes_that_do_not_answer(tmp_path: Path) -> None:
    """The first is waited for, as it would be for a large checkpoint; the second leaves nothing behind."""
    with command(*COMMAND, cwd=tmp_path) as verb:
        wait_until(lambda: list(tmp_path.glob("runs/*/checkpoints/*.pt")), "a checkpoint", 90)
        (directory,) = (tmp_path / "runs").iterdir()
        os.kill(_process_of_rank(1, tmp_path), signal.SIGSTOP)
        verb.send_signal(signal.SIGINT)
        time.sleep(2.0)
        assert verb.poll() is None and read_status(RunDirectory(directory)) == "running"
        verb.send_signal(signal.SIGINT)
        wait_until(lambda: not processes_in(tmp_path), "an end of all processes", 10)
        _, errors = verb.communicate(timeout=10 * crowding())
    assert (verb.returncode, without_digest_notes(errors).splitlines()) == (
        130,
        ["gnexp: ended before it had saved; the same command goes on from the last checkpoint"],
    )
    values, problems = Checkpoints(RunDirectory(directory)).load(tiny.CPU)
    assert values is not None and problems == []


def _process_of_rank(rank: int, folder: Path) -> int:
    (pid,) = (
        pid
        for pid, line in processes_in(folder).items()
        if "gnexp.launch.trainer train" in line and _environment(pid)["RANK"] == str(rank)
    )
    return pid


@pytest.mark.parametrize("loader_workers", [2])
def test_fault_06_a_killed_run_leaves_no_loader_process(tmp_path: Path, loader_workers: int) -> None:
    photographs = tiny.photographs(tmp_path / "photographs")
    data = dataclasses.replace(photographs, loader_workers=loader_workers)
    spec = write_spec(tmp_path, data=data, recipe=LONG)
    with trainer(spec) as process:
        process.wait_for_steps(spec.parent, STEPS)
        wait_until(lambda: len(children_of(process.pid)) == loader_workers, "loader processes")
        loaders = children_of(process.pid)
        process.send(signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, loaders)), "an end of the loader processes", 10)


@pytest.mark.slow
def test_fault_07_a_second_run_on_the_directory_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    whole, spec = (write_spec(tmp_path / name, checkpoint_minutes=0.0) for name in ("whole", "twice"))
    train_whole(whole)
    with trainer(spec, seconds_of_fsync=0.05) as first:
        first.wait_for_steps(spec.parent, 1)
        with trainer(spec, errors=tmp_path / "second.txt") as second:
            code, errors = second.wait()
        assert first.is_alive
        assert code == 4 and len(errors) == 1
        assert f"is being written by pid {first.pid} on " in errors[0]
        assert first.wait() == (0, [])
    assert_equal(contents(spec.parent), contents(whole.parent))


@pytest.mark.slow
def test_fault_16_a_loader_process_is_killed(tmp_path: Path) -> None:
    """One line and exit code 1, not a hang; the same command goes on and ends equal."""
    data = dataclasses.replace(tiny.photographs(tmp_path / "photographs"), loader_workers=2)
    whole, spec = (
        write_spec(tmp_path / name, data=data, checkpoint_minutes=0.0) for name in ("whole", "killed")
    )
    train_whole(whole)
    with trainer(spec, seconds_of_fsync=0.05) as process:
        process.wait_for_steps(spec.parent, 1)
        wait_until(lambda: children_of(process.pid), "loader processes")
        os.kill(children_of(process.pid)[0], signal.SIGKILL)
        code, errors = process.wait()
    assert code == 1 and len(errors) == 1 and errors[0].startswith("gnexp: failed: RuntimeError: ")
    assert "killed by signal" in errors[0]
    assert steps_saved(spec.parent) < 3 * STEPS
    with trainer(spec) as process:
        assert process.wait() == (0, [])
    assert_equal(contents(spec.parent), contents(whole.parent))


@pytest.mark.dist
def test_fault_21_a_process_that_hangs_is_named(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, processes=2, recipe=LONG, peer_timeout=3.0)
    with pair(spec) as group:
        group[0].wait_for_steps(spec.parent, STEPS)
        group[1].send(signal.SIGSTOP)
        begin = time.monotonic()
        code, errors = group[0].wait(30)
        assert time.monotonic() - begin < 15 * crowding()
    assert code == 1 and len(errors) == 1
    assert "process 1 has not answered for 3 s (peer_timeout); it hangs" in errors[0]


@pytest.mark.dist
@pytest.mark.slow  # torchrun gives it 30 s to save
def test_fault_21_a_process_that_hangs_is_killed(tmp_path: Path) -> None:
    with command(*COMMAND, "peer_timeout=5", cwd=tmp_path) as verb:
        wait_until(lambda: list(tmp_path.glob("runs/*/checkpoints/*.pt")), "a checkpoint", 90)
        os.kill(_process_of_rank(1, tmp_path), signal.SIGSTOP)
        _, errors = verb.communicate(timeout=60 * crowding())
        assert processes_in(tmp_path) == {}
    assert verb.returncode == 1
    assert without_digest_notes(errors).count("\n") == 1
    assert "process 1 has not answered for 5 s (peer_timeout)" in errors


@pytest.mark.dist
@pytest.mark.slow
def test_fault_21_what_one_process_alone_finds_wrong_is_told(tmp_path: Path) -> None:
    """An image of val that is the second process's to read: the first knows of nothing."""
    photographs = tiny.photographs(tmp_path / "photographs")
    broken = (
        tmp_path / "photographs" / "val" / "class0" / "002.jpg"
    )  # the second image; each takes every other
    broken.write_bytes(broken.read_bytes()[:200])
    changes: dict[str, Any] = {"data": photographs, "processes": 2, "recipe": LONG}
    spec = write_spec(tmp_path / "runs", **changes)
    done = subprocess.run(
        [sys.executable, "-m", "gnexp.launch.torchrun", "2", str(spec)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60 * crowding(),
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("gnexp: process 1: error: ")
    assert str(broken) in done.stderr
    assert json.loads((spec.parent / "status.json").read_text(encoding="utf-8"))["status"] == "failed"
