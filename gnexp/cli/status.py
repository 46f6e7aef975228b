"""gnexp status: where the runs of a folder stand."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gnexp.cli.settings import settings_of
from gnexp.config.spelling import spell
from gnexp.config.words import counted, duration
from gnexp.runs.standing import Standing, standings
from gnexp.runs.status import DONE, FAILED, PREEMPTED, RUNNING
from gnexp.system.exit_codes import EXIT_DONE

_WATCH = "--watch"
_SECONDS = 2.0  # between two looks
_ORDER = (RUNNING, PREEMPTED, FAILED, DONE)
_CLEAR = "\x1b[H\x1b[J"  # of a terminal: home, and nothing behind it


def main(words: list[str]) -> int:
    """Prints a line a run; with --watch until Ctrl-C. Returns the exit code.

    Raises:
        ValueError: a folder that is not there.
    """
    rest = [word for word in words if word != _WATCH]
    if rest and not rest[0].startswith("runs_dir="):  # a path as the shell has it, with an "=" perhaps
        rest[0] = f"runs_dir={spell(rest[0])}"
    runs_dir = Path(settings_of("status", rest)["runs_dir"])
    if not runs_dir.is_dir():
        raise ValueError(f"no folder {runs_dir}; which one has the run directories? gnexp status RUNS_DIR")
    if _WATCH not in words:
        print("\n".join(_table(standings(runs_dir), runs_dir)))
        return EXIT_DONE
    with contextlib.suppress(KeyboardInterrupt):  # which is how one stops to watch
        _follow(runs_dir)
    return EXIT_DONE


def _follow(runs_dir: Path) -> None:
    """On a terminal the table again and again; elsewhere a line for each run that has changed."""
    shown: dict[str, str] = {}
    while True:
        found = standings(runs_dir)
        if sys.stdout.isatty():
            print(_CLEAR + "\n".join(_table(found, runs_dir)), flush=True)
        else:
            for one in found:
                text = f"{one.directory.name}: {one.state}, {_epoch(one)}" + f", {one.score}" * bool(
                    one.score
                )
                if shown.get(one.directory.name) != text:
                    shown[one.directory.name] = text
                    print(text, flush=True)
        time.sleep(_SECONDS)


def _table(found: Sequence[Standing], runs_dir: Path) -> list[str]:
    """What runs first, what is done last; behind a failure the reason."""
    if not found:
        return [f"no runs in {runs_dir}"]
    found = sorted(found, key=lambda one: (_ORDER.index(one.state), -one.seen))
    rows = [("state", "epoch", "error so far", "last sign of life", "run")]
    rows += [(one.state, _epoch(one), one.score or "-", _ago(one.seen), one.directory.name) for one in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    for index, one in enumerate(found):
        if one.message:
            lines[index + 1] += f": {one.message}"
    num = Counter(one.state for one in found)
    parts = ", ".join(f"{num[state]} {state}" for state in _ORDER if num[state])
    return [*lines, f"{counted(len(found), 'run')}: {parts}"]


def _epoch(one: Standing) -> str:
    step = f" + {counted(one.step, 'step')}" if one.step else ""
    return f"{one.epoch}/{'?' if one.epochs is None else one.epochs}{step}"


def _ago(moment: float) -> str:
    return f"{duration(max(0.0, round(time.time() - moment)))} ago"
