"""Numbers of finished runs that code since found wrong has written: left out of a report, and why."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gnexp.config.fields import require
from gnexp.report.exhibits.words import join
from gnexp.runs.result import Result


@dataclass(frozen=True, kw_only=True)
class Stale:
    """An entry of conf/stale.yaml."""

    runs: tuple[str, ...]  # ids
    commit: str  # that wrote the numbers; a run that other code has run again keeps all of its own
    metrics: tuple[str, ...]  # patterns of names: val/*_precise
    reason: str  # what was wrong with them; the end of a sentence

    def names_in(self, result: Result) -> list[str]:
        """The metrics of a result that it speaks of; none where other code wrote them."""
        is_meant = result.run_id in self.runs and any(
            str(entry.get("commit") or "").startswith(self.commit) for entry in result.env
        )
        names = [name for name in result.metrics if any(fnmatch.fnmatchcase(name, p) for p in self.metrics)]
        return names if is_meant else []


@dataclass(frozen=True)
class Struck:
    """The runs of which an entry has left something out."""

    entry: Stale
    run_ids: tuple[str, ...]


def parse_stale(values: Any) -> tuple[Stale, ...]:
    """The entries of conf/stale.yaml from plain values.

    Raises:
        ValueError: naming the entry and the key that is unknown, missing or wrong.
    """
    require(isinstance(values, list), f"stale.yaml must be a list of entries, got {values!r}")
    return tuple(_parse(entry, place) for place, entry in enumerate(values, 1))


def strike(results: Mapping[str, Result], stale: Iterable[Stale]) -> tuple[dict[str, Result], list[Struck]]:
    """The results by id without the metrics that are stale, in their series too, and what was taken out."""
    kept, struck = dict(results), []
    for entry in stale:
        found = {run_id: names for run_id, r in sorted(results.items()) if (names := entry.names_in(r))}
        for run_id, names in found.items():
            kept[run_id] = _without(kept[run_id], names)
        if found:
            struck.append(Struck(entry, tuple(found)))
    return kept, struck


def say_struck(struck: Sequence[Struck], run_ids: Container[str], metrics: Collection[str] = ()) -> list[str]:
    """A note for each entry that some of the runs are in: which numbers are missing, and why.

    metrics: those that are shown, where it is not all of them.
    """
    notes = []
    for one in struck:
        if metrics and not any(fnmatch.filter(metrics, pattern) for pattern in one.entry.metrics):
            continue
        if shown := [f"`{run_id}`" for run_id in one.run_ids if run_id in run_ids]:
            names = join([f"`{pattern}`" for pattern in one.entry.metrics])
            runs = f"run{'' if len(shown) == 1 else 's'} {join(shown)}"
            notes.append(
                f"Left out as stale: {names} of {runs}, written at commit `{one.entry.commit}`, {one.entry.reason}."
            )
    return notes


def _without(result: Result, names: Container[str]) -> Result:
    return dataclasses.replace(
        result,
        metrics={name: value for name, value in result.metrics.items() if name not in names},
        series=[
            {name: value for name, value in record.items() if name not in names} for record in result.series
        ],
    )


def _parse(values: Any, place: int) -> Stale:
    fields = {f.name for f in dataclasses.fields(Stale)}
    require(isinstance(values, Mapping), f"stale.yaml, entry {place}: must hold keys and values")
    given = set(map(str, values))
    require(
        given == fields,
        f"stale.yaml, entry {place}: needs {', '.join(sorted(fields))}, got {', '.join(sorted(given))}",
    )
    for key in ("runs", "metrics"):
        require(
            isinstance(values[key], list) and bool(values[key]) and all(type(v) is str for v in values[key]),
            f"stale.yaml, entry {place}: {key} must be a list of texts (in quotes, where it reads as a number), "
            f"got {values[key]!r}",
        )
    for key in ("commit", "reason"):
        require(
            type(values[key]) is str and bool(values[key]),
            f"stale.yaml, entry {place}: {key} must be a text (in quotes, where it reads as a number), "
            f"got {values[key]!r}",
        )
    return Stale(
        runs=tuple(values["runs"]),
        commit=values["commit"],
        metrics=tuple(values["metrics"]),
        reason=values["reason"].strip().rstrip("."),
    )
