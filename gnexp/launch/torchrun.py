"""torchrun as a child of the verb: `python -m gnexp.launch.torchrun PROCESSES SPEC` starts a run's trainers.

It watches them and ends all when one has failed. Its exit code is that of the process that ended first for a reason of
its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from gnexp.launch.trainer import STARTED_BY_US
from gnexp.runs.directory import RunDirectory
from gnexp.runs.status import PREEMPTED, RUNNING, read_message, read_status
from gnexp.system.exit_codes import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_PEER_LOST,
    EXIT_PREEMPTED,
    EXIT_USER_ERROR,
    ended_by,
    exit_code_of,
)
from gnexp.system.names import escape_unprintable
from gnexp.system.signals import TWICE_SECONDS, Stopper, StopRequest, end_with_parent, stopping
from gnexp.system.terminal import dropping_unprintable

_STOPPED = "stopped; the same command goes on from the last checkpoint"
_NOT_SAVED = "ended before it had saved; the same command goes on from the last checkpoint"


def main() -> int:
    """Runs until every process has ended."""
    escape_unprintable()
    with dropping_unprintable():
        return _main(int(sys.argv[1]), Path(sys.argv[2]))


def _main(num: int, spec: Path) -> int:
    end_with_parent()
    stopper = Stopper()
    stopper.install()  # until torchrun's own, which come with its first process
    try:
        with stopper.leaving(_tell_stopped):
            from torch.distributed import run as _  # noqa: F401
        return _run(num, spec)
    except StopRequest as request:
        return _tell_stopped(request.number)


def _tell_stopped(number: int) -> int:
    print(f"gnexp: {_STOPPED}", file=sys.stderr, flush=True)
    return exit_code_of(number)


def _run(num: int, spec: Path) -> int:
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # It would tell at length what our processes tell in a line; its loggers set their levels themselves.
    logging.disable(logging.CRITICAL)
    os.environ[STARTED_BY_US] = "1"
    first_at: float | None = None
    num_ended = 0

    def take(number: int, frame: FrameType | None) -> None:
        """Ctrl-C: the first as torchrun would have it; at a second it would ask its processes again, and wait again."""
        nonlocal first_at, num_ended
        if first_at is None:
            first_at = time.monotonic()
            if signal.getsignal(signal.SIGTERM) == before:  # torchrun has started no process
                raise StopRequest(number)
            raise SignalException("Ctrl-C", signal.Signals(number))
        if time.monotonic() - first_at > TWICE_SECONDS:
            num_ended += _end_children()

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGINT, take)
    others = [number.name for number in stopping() if number != signal.SIGINT]
    options = {option for action in torchrun.get_args_parser()._actions for option in action.option_strings}
    arguments = [
        # A slow step and a large checkpoint take longer than the 30 s that torchrun gives; an older one cannot be told.
        *(["--shutdown-timeout=600"] if "--shutdown-timeout" in options else []),
        "--standalone",
        f"--nproc-per-node={num}",
        "--max-restarts=0",
        # Those it does not know would kill it and leave the processes behind.
        f"--signals-to-handle={','.join(others)}",
        "--module",
        "gnexp.launch.trainer",
        "train",
        str(spec),
    ]
    try:
        torchrun.main(arguments)
    except SignalException as error:
        # torchrun has waited for the processes, unless a second Ctrl-C came.
        num_ended += _end_children()
        if num_ended:
            said = _NOT_SAVED if read_status(RunDirectory(spec.parent)) == RUNNING else _STOPPED
            print(f"gnexp: {said}", file=sys.stderr, flush=True)
        return exit_code_of(error.sigval)
    except ChildFailedError as error:
        exit_codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        return _cause(exit_codes, RunDirectory(spec.parent))
    return EXIT_DONE


def _end_children() -> int:
    """Ends the processes that are left, with their loader processes; returns how many there were."""
    own = os.getpid()
    try:
        left = Path(f"/proc/{own}/task/{own}/children").read_text(encoding="utf-8").split()
    except OSError:  # no Linux
        return 0
    for pid in map(int, left):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)


def _cause(exit_codes: dict[int, int], directory: RunDirectory) -> int:
    """The exit code that a run is to end with; says what only the one who watches can know."""
    own = {rank: code for rank, code in exit_codes.items() if code not in (EXIT_PEER_LOST, -signal.SIGTERM)}
    rank, code = next(iter(sorted(own.items())), (None, EXIT_FAILED))
    if code < 0:
        print(f"gnexp: process {rank} of the run was {ended_by(-code)}", file=sys.stderr, flush=True)
        return EXIT_FAILED
    if code == EXIT_USER_ERROR and exit_codes.get(0) != EXIT_USER_ERROR:
        # A mistake in what this process alone has read, such as an image: it left the word to the first.
        print(f"gnexp: process {rank}: {read_message(directory)}", file=sys.stderr, flush=True)
    if code == EXIT_PREEMPTED and read_status(directory) != PREEMPTED:
        return EXIT_FAILED
    return code


if __name__ == "__main__":
    sys.exit(main())
