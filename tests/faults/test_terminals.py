"""Fault 24: nobody can read what a run prints, or its terminal goes. It trains on, or saves and leaves; never fails."""

import contextlib
import dataclasses
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gnexp.runs.directory import RunDirectory
from gnexp.runs.status import read_status
from tests.faults.started import ROOT, position, processes_in, trainer, wait_until
from tests.faults.tiny import STEPS, TINY, assert_equal, contents, train_whole, write_spec
from tests.grids import thin

COMMAND = (
    "train", "scale=smoke", "norm=bn", "batch=4", "workers=2", "threads=1", "device=cpu", "data.num_train=37",
    "data.num_val=21", "checkpoint_minutes=0",
)  # fmt: skip


class Terminal:
    """A terminal of our own, which can be closed; `end` is what a program opens."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        self.end = os.ttyname(self.theirs)

    def stop_background_writers(self) -> None:
        """`stty tostop`."""
        modes = termios.tcgetattr(self.theirs)
        modes[3] |= termios.TOSTOP
        termios.tcsetattr(self.theirs, termios.TCSANOW, modes)

    def close(self) -> None:
        """As when its window is closed: what is written fails, and whoever it controls is sent SIGHUP."""
        with contextlib.suppress(OSError):
            os.close(self._ours)
            os.close(self.theirs)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


class Pipe:
    """A named pipe that somebody reads until it is closed, as `| head -1` does."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.end = str(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def close(self) -> None:
        os.close(self._reader)


@pytest.mark.parametrize("what", thin(["terminal", "pipe", "full"]))
def test_fault_24_what_cannot_be_printed_is_dropped(what: str, tmp_path: Path, terminal: Terminal) -> None:
    """A disowned run whose terminal is closed, `| head -1`, `> /dev/full`: it trains on, and log.txt has all."""
    whole, spec = (write_spec(tmp_path / name, checkpoint_minutes=0.0) for name in ("whole", "unread"))
    train_whole(whole)
    screen = {"terminal": terminal, "pipe": Pipe(tmp_path / "pipe")}.get(what)
    # 12 checkpoints: seconds in which the test can find that it has begun, on a machine as busy as may be.
    with trainer(
        spec, seconds_of_fsync=0.3 if screen else 0.0, terminal=screen.end if screen else "/dev/full"
    ) as process:
        wait_until((spec.parent / "log.txt").exists, "its first words")
        if screen:
            screen.close()
        assert process.wait() == (0, [])
    assert_equal(contents(spec.parent), contents(whole.parent))
    for line in ("epoch 3/3: ", "finished in ", "result: "):
        assert line in (spec.parent / "log.txt").read_text(encoding="utf-8")
    assert read_status(RunDirectory(spec.parent)) == "done"


@pytest.mark.slow
@pytest.mark.parametrize("where", ["2>&1 | head -1", "> /dev/full 2>&1"])
def test_fault_24_the_real_command_trains_on_when_nobody_reads(where: str, tmp_path: Path) -> None:
    words = f"{sys.executable} -m gnexp train scale=smoke norm=gn batch=4 threads=1 device=cpu"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words} {where}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.count("\n") == (1 if "head" in where else 0)
    (directory,) = (tmp_path / "runs").iterdir()
    assert read_status(RunDirectory(directory)) == "done"
    assert "result: " in (directory / "log.txt").read_text(encoding="utf-8")


@contextlib.contextmanager
def command_on(terminal: Terminal, words: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command on a terminal that controls it; at the end all that works in `folder` is killed."""

    def take_terminal() -> None:
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)

    verb = subprocess.Popen(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=terminal.theirs,
        stdout=terminal.theirs,
        stderr=terminal.theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    try:
        yield verb
    finally:
        for pid in processes_in(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        verb.wait()


@pytest.mark.slow
def test_fault_24_a_terminal_is_closed(tmp_path: Path, terminal: Terminal) -> None:
    """The real command on it: the hang-up is passed on, no step is lost, and the exit code is that of a stop in order.

    To the terminal the trainer is one in the background, which may not write to this one.
    """
    terminal.stop_background_writers()
    words = [sys.executable, "-m", "gnexp", *COMMAND, "recipe.epochs=500"]
    with command_on(terminal, words, tmp_path) as verb:
        wait_until(lambda: list(tmp_path.glob("runs/*/checkpoints/*.pt")), "a checkpoint", 90)
        terminal.close()
        assert verb.wait(60) == 75
    (directory,) = (tmp_path / "runs").iterdir()
    status = json.loads((directory / "status.json").read_text(encoding="utf-8"))
    assert status["status"] == "preempted"
    assert position(directory) == (status["epoch"], status["step"]) > (0, 0)
    assert "stopped at epoch " in (directory / "log.txt").read_text(encoding="utf-8")


@pytest.mark.dist
@pytest.mark.slow
def test_fault_24_nohup_holds(tmp_path: Path, terminal: Terminal) -> None:
    """The verb, torchrun and both processes go on when the terminal goes, and when each is sent the hang-up itself."""
    words = ["nohup", sys.executable, "-m", "gnexp", *COMMAND, "processes=2", "recipe.epochs=500"]
    with command_on(terminal, words, tmp_path) as verb:
        wait_until(lambda: list(tmp_path.glob("runs/*/checkpoints/*.pt")), "a checkpoint", 90)
        (directory,) = (tmp_path / "runs").iterdir()
        processes = [pid for pid, words in processes_in(tmp_path).items() if "gnexp" in words]
        assert len(processes) == 4
        terminal.close()
        for pid in processes:
            os.kill(pid, signal.SIGHUP)
        epoch, _ = position(directory)
        wait_until(lambda: position(directory)[0] >= epoch + 2, "epochs after it", 60)
        verb.send_signal(signal.SIGTERM)  # which nobody has asked to be ignored
        assert verb.wait(60) == 75
    assert read_status(RunDirectory(directory)) == "preempted"
    assert "run " in (tmp_path / "nohup.out").read_text(encoding="utf-8")


def test_fault_24_a_hang_up_while_nothing_is_begun(tmp_path: Path, terminal: Terminal) -> None:
    """The handler that says so cannot say it."""
    code = (
        "import os, signal, sys\n"
        "from gnexp.system.signals import leave\n"
        "signal.signal(signal.SIGHUP, leave)\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=terminal.theirs,
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    terminal.close()
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 75
    process.stdout.close()


def test_an_epoch_is_told_after_it_is_saved(tmp_path: Path) -> None:
    """Whoever reads "epoch 1" may kill the run."""
    spec = write_spec(tmp_path, recipe=dataclasses.replace(TINY.recipe, epochs=1))
    with trainer(spec, seconds_of_fsync=0.5) as process:
        deadline = time.monotonic() + 60
        log = spec.parent / "log.txt"
        while not (log.exists() and "epoch 1/1" in log.read_text(encoding="utf-8")):
            assert process.is_alive and time.monotonic() < deadline
            time.sleep(0.005)
        assert position(spec.parent) in ((1, 0), (0, STEPS))
        process.wait()
