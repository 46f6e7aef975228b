"""The exit codes of gnexp's processes, and what to say of one that a signal ended."""

from __future__ import annotations

import signal

EXIT_DONE = 0  # a diverged run is done too
EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_PEER_LOST = 3  # another process of the run has ended and tells why
EXIT_BUSY = 4  # another process writes the run
EXIT_NOT_STARTED = 5  # of a sweep's run that its budget is too short for
EXIT_PREEMPTED = 75  # asked to stop and left in order; EX_TEMPFAIL of sysexits.h: the same command goes on
EXIT_INTERRUPTED = 130  # the same by Ctrl-C

IS_MEMORY_SHORT = "was memory short?"  # what to ask of a process that was killed


def exit_code_of(number: int | None) -> int:
    """What a run exits with that was stopped in order: by Ctrl-C, or by any other signal."""
    return EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_PREEMPTED


def ended_by(number: int) -> str:
    """Words on a process that a signal ended: "ended by SIGSEGV"; SIGKILL is what a machine short of memory sends."""
    hint = f"; {IS_MEMORY_SHORT}" if number == signal.SIGKILL else ""
    return f"ended by {signal.Signals(number).name}{hint}"
