"""Starts a process of ours: what it inherits, the signals that are passed on to it, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from gnexp.system.exit_codes import EXIT_FAILED, ended_by, exit_code_of
from gnexp.system.signals import leave, stopping

# What a user says to OpenMP about threads that wait; with any of these said, we say nothing.
# KMP_BLOCKTIME is none of them: torch's OpenMP, libgomp, does not read it, and one that does holds it above ours.
WAIT_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a child ended: its exit code, what came through pipes, and a signal that we passed on."""

    exit_code: int
    out: bytes = b""
    errors: bytes = b""
    stopped_by: int | None = None


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a child of ours, and so for all that the child starts.

    No file of the working directory takes the place of a module, such as a person's own queue.py or another checkout's
    gnexp. Threads that wait for work sleep, and leave the cores to whoever has some.
    """
    env = {**environment, "PYTHONSAFEPATH": "1"}
    if "PYTHONPATH" in env:  # an empty entry, as of PYTHONPATH=$PYTHONPATH:/x, means the working directory
        env["PYTHONPATH"] = os.pathsep.join(filter(None, env["PYTHONPATH"].split(os.pathsep)))
    if not any(name in env for name in WAIT_SETTINGS):
        env["OMP_WAIT_POLICY"] = "passive"
    return env


@contextlib.contextmanager
def inheriting() -> Iterator[None]:
    """Inside, processes that others start for us, such as a launcher's, have such an environment too."""
    before = dict(os.environ)
    os.environ.update(environment_of(os.environ))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def start(command: Sequence[str], env: dict[str, str], *, stdout: Any = None, stderr: Any = None) -> Ended:
    """Runs a process of ours to its end and passes signals on to it.

    Args:
        command: the program and its arguments.
        env: its environment, to which environment_of adds.
        stdout: a file or subprocess.PIPE; None is the terminal.
        stderr: likewise.
    """
    with _passing_signals() as relay:
        # A process group of its own: the terminal's Ctrl-C reaches the child through us alone, hence exactly once.
        child = subprocess.Popen(
            command, env=environment_of(env), process_group=0, stdout=stdout, stderr=stderr
        )
        relay.attach(child)
        out, errors = child.communicate()
    killed = _killed_by(child.returncode) if relay.passed is None else ""
    if killed and stderr is None:
        print(f"gnexp: {killed}", file=sys.stderr)
    code = child.returncode
    if code < 0:
        code = EXIT_FAILED if relay.passed is None else exit_code_of(relay.passed)
    return Ended(
        exit_code=code,
        out=out or b"",
        errors=(errors or b"") + killed.encode(),
        stopped_by=relay.passed,
    )


class _Relay:
    """Hands the signals we get to a child; those that come before there is one wait for it."""

    def __init__(self) -> None:
        self.passed: int | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def attach(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        if self.passed is not None:
            child.send_signal(self.passed)

    def forward(self, number: int, frame: FrameType | None) -> None:
        self.passed = number
        if self._child is not None:
            self._child.send_signal(number)

    def pause(self, number: int, frame: FrameType | None) -> None:
        if self._child is not None:
            self._child.send_signal(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)  # here we sleep until the shell's fg or bg
        if self._child is not None:
            self._child.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def _passing_signals() -> Iterator[_Relay]:
    relay = _Relay()
    if threading.current_thread() is not threading.main_thread():
        yield relay  # Python lets only the main thread handle signals
        return
    before: dict[signal.Signals, Any] = {
        number: signal.signal(number, relay.forward) for number in stopping()
    }
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, relay.pause)
    try:
        yield relay
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    previous = None if relay.passed is None else before[signal.Signals(relay.passed)]
    if relay.passed in (signal.SIGUSR1, signal.SIGUSR2) and callable(previous) and previous is not leave:
        # Of a launcher that wants to know: submitit requeues the job, now that the run has saved and left.
        os.kill(os.getpid(), relay.passed)


def _killed_by(returncode: int) -> str:
    """A line on a child that a signal ended, Ctrl-C aside."""
    if returncode >= 0 or -returncode == signal.SIGINT:
        return ""
    return f"the trainer was {ended_by(-returncode)}"
