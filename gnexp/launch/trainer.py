"""The process that needs torch: `python -m gnexp.launch.trainer train SPEC`. Never imports hydra.

It trains, or does another job. Its exit codes are those of gnexp.system.exit_codes.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gnexp.runs.directory import RunDirectory
from gnexp.runs.lock import BusyError
from gnexp.runs.status import FAILED, Status, has_failed_since
from gnexp.system.exit_codes import (
    EXIT_BUSY,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_PEER_LOST,
    EXIT_PREEMPTED,
    EXIT_USER_ERROR,
    exit_code_of,
)
from gnexp.system.names import escape_unprintable, shown
from gnexp.system.signals import Stopper, StopRequest, end_with_parent
from gnexp.system.terminal import dropping_unprintable

STARTED_BY_US = "GNEXP_TORCHRUN"  # set where gnexp.launch.torchrun watches, and not an outer torchrun or srun
_GRACE_SECONDS = 3.0  # that a process which lost another gives it to be the first to have ended


def main() -> int:
    """Does one job and says in one line what went wrong, if anything did."""
    escape_unprintable()
    job, *words = sys.argv[1:]
    # Training goes on when nobody can read of it; what another job prints is its work.
    with dropping_unprintable() if job == "train" else contextlib.nullcontext():
        return _main(job, words)


def _main(job: str, words: list[str]) -> int:
    # Another job's failure is none of the run's.
    directory = RunDirectory(Path(words[0]).parent) if job == "train" else None
    stopper, begun_at = Stopper(), time.time()
    end_with_parent()
    stopper.install()
    try:
        module = "gnexp.experiments.run" if job == "train" else f"gnexp.launch.jobs.{job}"
        with stopper.leaving(lambda number: _tell(StopRequest(number), directory, begun_at)):
            importlib.import_module(module)  # torch's takes seconds
        code = _train(Path(words[0]), stopper) if job == "train" else _do(job, words)
    except BaseException as error:
        stopper.settle()
        code = _tell(error, directory, begun_at)
    stopper.settle()
    return code


def _tell(error: BaseException, directory: RunDirectory | None, begun_at: float) -> int:
    """Says in one line what ended the job, and returns the exit code."""
    if isinstance(error, StopRequest):
        code = exit_code_of(error.number)
        if directory is not None and STARTED_BY_US in os.environ and has_failed_since(directory, begun_at):
            return code  # torchrun ends us since another has failed, which is what is told
        return _say("stopped; the same command goes on from the last checkpoint", code)
    if isinstance(error, BusyError):
        return _say(f"error: {error}", EXIT_BUSY)
    if isinstance(error, ValueError):
        # The line is for the person; should it be a defect of ours after all, the run's log says where.
        if directory is not None or os.environ.get("GNEXP_DEBUG"):
            with contextlib.suppress(OSError):
                _log_traceback(directory)
        # Where a person reads on a terminal of its own, an error may have lines; in lists and logs it is one.
        lines = () if "GNEXP_QUIET" in os.environ else getattr(error, "lines", ())
        return _fail(f"error: {error}", EXIT_USER_ERROR, directory, lines)
    if isinstance(error, BrokenPipeError) and directory is None:
        # `gnexp data check ... | head`: nobody reads on. Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    if isinstance(error, OSError):
        # A directory that cannot be written, a full disk. Errors of a flush do not name their file.
        place = shown(str(error.filename or directory or "a file"))
        reason = error.strerror or error
        goes_on = " goes on from the last checkpoint" if directory else " does it"
        message = f"error: {place}: {reason}; mend that, and the same command{goes_on}"
        return _fail(message, EXIT_USER_ERROR, directory)
    if not isinstance(error, Exception):
        raise error
    log = _log_traceback(directory)
    if type(error).__name__ == "PeerLostError":  # its class cannot be imported before torch
        time.sleep(_GRACE_SECONDS)
        if STARTED_BY_US not in os.environ:
            return _say("another process of this run has ended, and says why", EXIT_PEER_LOST)
        return EXIT_PEER_LOST
    first_line = str(error).splitlines()[0] if str(error) else ""
    return _fail(f"failed: {type(error).__name__}: {first_line}{log}", EXIT_FAILED, directory)


# Imported late, so that a signal during torch's seconds of import ends in one line as well.


def _train(path: Path, stopper: Stopper) -> int:
    from gnexp.experiments.run import set_threads, train_run
    from gnexp.runs.spec import load_spec

    spec = load_spec(path)
    set_threads(spec.run)
    train_run(spec, stopper)
    return EXIT_DONE


def _do(job: str, words: list[str]) -> int:
    return int(importlib.import_module(f"gnexp.launch.jobs.{job}").main(words))


def _log_traceback(directory: RunDirectory | None) -> str:
    """Keeps the traceback in the run's log, or prints it where there is no run; returns where to look."""
    if directory is None:
        traceback.print_exc()
        return ""
    with open(directory.log, "a", encoding="utf-8", errors="backslashreplace") as file:
        traceback.print_exc(file=file)
    return f" (see {directory.log})"


def _fail(message: str, code: int, directory: RunDirectory | None, lines: Sequence[str] = ()) -> int:
    if directory is not None:
        with contextlib.suppress(OSError):
            Status(directory).say(FAILED, message=message)
    return _say(message, code, lines)


def _say(message: str, code: int, lines: Sequence[str] = ()) -> int:
    rank = os.environ.get("RANK")
    # Every process stops, and most mistakes are found by each: the first one tells, or else gnexp.launch.torchrun.
    # Under an outer torchrun nobody else would tell of a mistake that one process alone finds.
    is_told = code in (EXIT_PREEMPTED, EXIT_INTERRUPTED) or (
        code == EXIT_USER_ERROR and STARTED_BY_US in os.environ
    )
    if is_told and rank not in (None, "0"):
        return code
    place = f"process {rank}: " if rank not in (None, "0") else ""
    first, *others = (f"error: {lines[0]}", *lines[1:]) if lines else (message,)
    text = "\n".join([f"gnexp: {place}{shown(first)}", *map(shown, others)])
    print(text, file=sys.stderr, flush=True)
    return code


def end(code: int) -> NoReturn:
    """Ends the process; one of a group without C++'s teardown.

    There threads of gloo that still run abort the process now and then, also after destroy_process_group (docs/log.md
    has the counts). A run that is done or saved would be told as one that was killed.
    """
    if "RANK" in os.environ:
        atexit._run_exitfuncs()  # what Python would do, as multiprocessing does in its children
        with contextlib.suppress(OSError):  # of a terminal that is gone
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    end(main())
