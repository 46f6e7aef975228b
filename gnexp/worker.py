"""The training process: `python -m gnexp.worker [--eval STATS] spec.json`. Never imports hydra.

Exit codes: 0 done (a diverged run too), 1 failed, 2 a user's mistake, 4 the run is another
process's, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from gnexp.experiments.lock import EXIT_BUSY, BusyError

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Trains or evaluates one run and says in one line what went wrong, if anything did."""
    parser = argparse.ArgumentParser(prog="python -m gnexp.worker", description=__doc__)
    parser.add_argument("spec", type=Path, help="a run's spec.json")
    parser.add_argument(
        "--eval", metavar="STATS", help="score the final weights: worker0, mean, precise or all"
    )
    arguments = parser.parse_args()
    _end_with_parent()
    signal.signal(signal.SIGTERM, _terminate)
    # A shell ignores SIGINT for what it starts in the background, and children inherit that; our parent passes it on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _work(arguments.spec, arguments.eval)
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on from the last finished epoch", 130)
    except BusyError as error:
        return _say(f"error: {error}", EXIT_BUSY)
    except ValueError as error:
        # The line is for the person; should it be a defect of ours after all, the log says where.
        with contextlib.suppress(OSError):
            _log_traceback(arguments.spec.parent)
        return _say(f"error: {error}", 2)
    except OSError as error:
        # A directory that cannot be written, a full disk. Errors of a flush do not name their file.
        place = error.filename or arguments.spec.parent
        reason = error.strerror or error
        return _say(
            f"error: {place}: {reason}; mend that, and the same command goes on from the last finished epoch",
            2,
        )
    except Exception as error:
        log = _log_traceback(arguments.spec.parent)
        return _say(
            f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''} (see {log})",
            1,
        )


def _work(path: Path, eval_stats: str | None) -> int:
    # Imported late, so that a signal during torch's seconds of import ends in one line as well.
    import torch

    from gnexp.experiments.run import evaluate_run, load_spec, train_run
    from gnexp.experiments.screen import Screen
    from gnexp.nn.statistics import EVAL_STATS

    spec = load_spec(path)
    if spec.run.threads is not None:
        torch.set_num_threads(spec.run.threads)
    if eval_stats is None:
        train_run(spec, Screen(spec.directory / "log.txt"))
        return 0
    if eval_stats not in (*EVAL_STATS, "all"):
        raise ValueError(f"eval_stats must be one of {', '.join(EVAL_STATS)}, all; got {eval_stats}")
    for stats, score in evaluate_run(spec, list(EVAL_STATS) if eval_stats == "all" else [eval_stats]).items():
        print(f"{stats}\t{score:.4f}")
    return 0


def _log_traceback(directory: Path) -> Path:
    log = directory / "log.txt"
    with open(log, "a") as file:
        traceback.print_exc(file=file)
    return log


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
