"""The process that needs torch: `python -m gnexp.worker train spec.json`, or another job. Never imports hydra.

Exit codes: 0 done (a diverged run too), 1 failed, 2 a user's mistake, 4 the run is another
process's, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from gnexp.experiments.lock import EXIT_BUSY, BusyError

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Does one job and says in one line what went wrong, if anything did."""
    job, *words = sys.argv[1:]
    directory = Path(words[0]).parent if words and words[0].endswith("spec.json") else None
    _end_with_parent()
    signal.signal(signal.SIGTERM, _terminate)
    # A shell ignores SIGINT for what it starts in the background, and children inherit that; our parent passes it on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _train(Path(words[0])) if job == "train" else _do(job, words)
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on from the last finished epoch", 130)
    except BusyError as error:
        return _say(f"error: {error}", EXIT_BUSY)
    except ValueError as error:
        # The line is for the person; should it be a defect of ours after all, the run's log says where.
        if directory is not None or os.environ.get("GNEXP_DEBUG"):
            with contextlib.suppress(OSError):
                _log_traceback(directory)
        return _say(f"error: {error}", 2)
    except OSError as error:
        # A directory that cannot be written, a full disk. Errors of a flush do not name their file.
        place = error.filename or directory or "a file"
        reason = error.strerror or error
        return _say(
            f"error: {place}: {reason}; mend that, and the same command goes on from the last finished epoch",
            2,
        )
    except Exception as error:
        log = _log_traceback(directory)
        return _say(
            f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}{log}",
            1,
        )


# Imported late, so that a signal during torch's seconds of import ends in one line as well.


def _train(path: Path) -> int:
    from gnexp.experiments.run import load_spec, set_threads, train_run
    from gnexp.experiments.screen import Screen

    spec = load_spec(path)
    set_threads(spec.run)
    train_run(spec, Screen(spec.directory / "log.txt"))
    return 0


def _do(job: str, words: list[str]) -> int:
    return int(importlib.import_module(f"gnexp.jobs.{job}").main(words))


def _log_traceback(directory: Path | None) -> str:
    """Keeps the traceback in the run's log, or prints it where there is no run; returns where to look."""
    if directory is None:
        traceback.print_exc()
        return ""
    log = directory / "log.txt"
    with open(log, "a") as file:
        traceback.print_exc(file=file)
    return f" (see {log})"


def _say(message: str, code: int) -> int:
    print(f"gnexp: {message}", file=sys.stderr, flush=True)
    return code


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _end_with_parent() -> None:
    """Asks Linux to end this process with its parent, so that none is left to write on alone."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
