"""Real processes for the faults: forked from a server that has imported torch already, or the real command line."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from tests.faults.tiny import STEPS
from tests.warm import SERVER, crowding, told_of_each_other

ROOT = Path(__file__).parents[2]


class Started:
    """A trainer of ours, with what it said on stderr."""

    def __init__(
        self,
        words: list[str],
        errors: Path,
        environment: dict[str, str],
        seconds_of_fsync: float,
        terminal: str | None,
    ) -> None:
        self._errors = errors
        screens = (os.devnull, str(errors)) if terminal is None else (terminal, terminal)
        told = (words, screens, environment, seconds_of_fsync)
        self._process = SERVER.Process(target=_become_trainer, args=told)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def wait_for_steps(self, directory: Path, num: int) -> None:
        """Waits until a checkpoint of that many steps is there."""

        def is_there() -> bool:
            is_alive = self.is_alive  # before the look: it may save its last step and end in between
            found = steps_saved(directory) >= num
            assert found or is_alive, self._said
            return found

        wait_until(is_there, f"{num} steps")

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = 60) -> tuple[int, list[str]]:
        """Its exit code, negative for a signal, and the lines on stderr."""
        self._process.join(timeout * crowding())
        assert not self._process.is_alive(), f"process {self.pid} goes on after {timeout} s"
        assert self._process.exitcode is not None
        return self._process.exitcode, self._said.splitlines()

    @property
    def _said(self) -> str:
        return self._errors.read_text(encoding="utf-8") if self._errors.exists() else ""

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def _become_trainer(
    words: list[str], screens: tuple[str, str], environment: dict[str, str], seconds_of_fsync: float
) -> None:
    """What `python -m gnexp.launch.trainer WORDS` does, in a process group of its own as a verb gives it."""
    os.setpgid(0, 0)
    multiprocessing.set_start_method(
        "fork", force=True
    )  # of its loader processes, as in a process of its own
    os.environ.update(environment)
    for number, path in enumerate(screens, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOCTTY), number)
    # The server's own still take these for what they were, such as a file that can seek.
    sys.stdout, sys.stderr = _stream(1), _stream(2)
    if seconds_of_fsync:
        os.fsync = functools.partial(_sync_slowly, seconds_of_fsync)  # type: ignore[assignment]
    from gnexp.launch import trainer as module

    sys.argv = ["gnexp.launch.trainer", *words]
    sys.exit(module.main())


def _stream(number: int) -> TextIO:
    return open(number, "w", encoding="utf-8", closefd=False)


def _sync_slowly(seconds: float, descriptor: int) -> None:
    """A disk on which a checkpoint takes its time."""
    name = os.readlink(f"/proc/self/fd/{descriptor}")
    if ".pt." in name and "sha256" not in name:
        time.sleep(seconds)


@contextlib.contextmanager
def trainer(
    spec: Path,
    errors: Path | None = None,
    seconds_of_fsync: float = 0.0,
    terminal: str | None = None,
    **environment: str,
) -> Iterator[Started]:
    """`gnexp.launch.trainer train SPEC`, on a disk as slow as asked for; killed at the end if it still runs.

    Args:
        spec: of the run.
        errors: a file for stderr.
        seconds_of_fsync: that a checkpoint takes.
        terminal: what stdout and stderr are opened on instead.
        environment: more of it.
    """
    errors = errors or spec.parent.parent / f"stderr-{environment.get('RANK', '0')}.txt"
    errors.unlink(missing_ok=True)
    process = Started(
        ["train", str(spec)], errors, {"OMP_NUM_THREADS": "1", **environment}, seconds_of_fsync, terminal
    )
    try:
        yield process
    finally:
        process.kill()


@contextlib.contextmanager
def pair(spec: Path) -> Iterator[list[Started]]:
    """The two processes of a run, told of each other as by torchrun."""
    with contextlib.ExitStack() as stack:
        told = stack.enter_context(told_of_each_other(2))
        yield [stack.enter_context(trainer(spec, RANK=rank, LOCAL_RANK=rank, **told)) for rank in ("0", "1")]


def in_child(function: Callable[..., None], *arguments: Any) -> int:
    """Calls a function of a module in a process of its own and returns its exit code."""
    process = SERVER.Process(target=function, args=arguments)
    process.start()
    process.join(100 * crowding())
    assert process.exitcode is not None
    return process.exitcode


@contextlib.contextmanager
def command(*words: str, cwd: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The real command line in a process group of its own; at the end all that works in `cwd` is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gnexp", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        yield process
    finally:
        for pid in processes_in(cwd):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def processes_in(folder: Path) -> dict[int, str]:
    """Living processes of gnexp that were started in a folder, and their command lines."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            is_zombie = (path / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
            if not is_zombie and os.readlink(path / "cwd") == str(folder.resolve()):
                found[int(path.name)] = words
    return found


def children_of(pid: int) -> list[int]:
    """Living children of a process, such as a run's loader processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(path.parent.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 60) -> None:
    """Fails, naming what was waited for, where it does not come in some seconds of a quiet machine."""
    deadline = time.monotonic() + seconds * crowding()
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)


def checkpoints(directory: Path) -> list[Path]:
    """Of a run, oldest first."""
    return sorted((directory / "checkpoints").glob("*.pt"))


def position(directory: Path) -> tuple[int, int]:
    """(epoch, step) of a run's newest checkpoint, by its name; (0, 0) without one."""
    if not checkpoints(directory):
        return 0, 0
    epoch, step = checkpoints(directory)[-1].stem.split("-")
    return int(epoch.removeprefix("epoch")), int(step.removeprefix("step"))


def steps_saved(directory: Path) -> int:
    """Steps of a tiny run that are in its newest checkpoint."""
    epoch, step = position(directory)
    return epoch * STEPS + step
