"""Where the cells that are compared come from, told where it is not one machine and one state of the code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from gnexp.config.experiment import AxisValue
from gnexp.report.exhibits.cells import Measurements
from gnexp.report.exhibits.collect import count
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.words import join
from gnexp.runs.result import Result

_RUN, _THEN = "run", ", then "
_Origins = dict[str, dict[str, int]]  # processor -> commit -> number of runs


@dataclass(frozen=True)
class _Sentences:
    mixed: Annotated[str, "origins"]


_PROSE = Prose("origins", _Sentences)


def say_origins(exhibit: Exhibit, found: Measurements) -> str:
    """A sentence on processors and commits, by the values of an axis that tells the processors apart; or nothing."""
    whole = _count(found.results)
    if len(whole) < 2 and all(len(commits) < 2 for commits in whole.values()):
        return ""
    told = _by_axis(exhibit, found) or [
        f"{processor} ({join([f'{count(n, _RUN)} at {commit}' for commit, n in sorted(commits.items())])})"
        for processor, commits in sorted(whole.items())
    ]
    return _PROSE.text.mixed.format(origins="; ".join(told))


def _by_axis(exhibit: Exhibit, found: Measurements) -> list[str]:
    """Processors by the values of the first axis of which each value was run on one; empty where there is none."""
    for axis in exhibit.axes:
        at: dict[AxisValue, _Origins] = {}
        for value in dict.fromkeys(exhibit.at(key, axis) for key in found.cells):
            cells = [cell for key, cell in found.cells.items() if exhibit.at(key, axis) == value]
            if origins := _count([result for cell in cells for result in cell.results.values()]):
                at[value] = origins
        if len(at) < 2 or any(len(origins) > 1 for origins in at.values()):
            continue
        groups: dict[str, tuple[list[str], dict[str, None]]] = {}
        for value, origins in at.items():
            ((processor, commits),) = origins.items()
            values, at_commits = groups.setdefault(processor, ([], {}))
            values.append(exhibit.value_title(axis, value))
            # Of a run that went over several each alone.
            at_commits.update(dict.fromkeys(sorted({c for turn in commits for c in turn.split(_THEN)})))
        if len(groups) > 1:
            return [
                f"{join(values)} on {processor} ({', '.join(commits)})"
                for processor, (values, commits) in groups.items()
            ]
    return []


def _count(results: list[Result]) -> _Origins:
    found: _Origins = {}
    for result in results:
        commits = found.setdefault(_told(result, _processor), {})
        commit = _told(result, _commit)
        commits[commit] = commits.get(commit, 0) + 1
    return found


def _told(result: Result, say: Callable[[Mapping[str, object]], str]) -> str:
    return _THEN.join(dict.fromkeys(say(entry) for entry in result.env or [{}]))


def _processor(entry: Mapping[str, object]) -> str:
    return str(entry.get("processor") or "an unknown processor")


def _commit(entry: Mapping[str, object]) -> str:
    return f"`{str(entry.get('commit') or 'unknown')[:7]}`"
