"""What our cells say of a claim: agrees, contradicts, undecided (with the seeds that would decide), or not run."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gnexp.report.exhibits.axes import Key
from gnexp.report.exhibits.cells import Measured, Measurements, within_runs
from gnexp.report.exhibits.claims import MORE, Claim
from gnexp.report.exhibits.power import seeds_by_spread
from gnexp.report.exhibits.statistics import Estimate, contrast

AGREES, CONTRADICTS, UNDECIDED, NOT_RUN, TARGET = (
    *("agrees", "contradicts", "undecided", "not run"),
    "target",  # of the search for a regime: its outcome is no test
)
EQUIVALENCE = 0.9  # two one-sided tests at 5 % each


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A column of the scoreboard."""

    id: str
    title: str
    data: tuple[str, ...]  # names of the data that its cells are of
    about: str  # what it is, after its title
    is_hidden_until_run: bool = False


@dataclass(frozen=True)
class Verdict:
    """Of one claim on one data set."""

    word: str
    found: Estimate | None = None  # of the contrast, points
    seeds_needed: int | None = None  # per cell, where it is undecided and a spread is known
    seeds_at_most: int | None = None  # likewise, if that spread is as large as its upper 80 % bound
    num_diverged: int = 0  # runs of its cells
    target: str = ""  # why there is no verdict
    regime: str = ""  # the data's names
    commands: tuple[str, ...] = ()  # what fills the cells that no run has

    @property
    def is_tested(self) -> bool:
        """Whether an interval was held against the claim."""
        return self.word in (AGREES, CONTRADICTS, UNDECIDED) and _has_interval(self.found)


def judge(claim: Claim, parts: Sequence[tuple[int, Sequence[float]]], target: str = "") -> Verdict:
    """Decides a claim by its cells' values, one list per cell with its sign.

    In a direction: agrees or contradicts where the 95 % interval leaves out 0 on that side or the other. Of no
    difference: agrees where the 90 % interval lies within the margin (two one-sided tests at 5 %), contradicts where
    the 95 % interval lies wholly outside it. Else undecided; so too where a cell has too few seeds, or all agree.
    """
    found = contrast(parts)
    if target:
        return Verdict(TARGET, found, target=target)
    if found is not None and _has_interval(found):
        word = _equivalence(claim, found) if claim.is_equivalence else _directional(claim, found)
        if word != UNDECIDED:
            return Verdict(word, found)
    cells = [values for _, values in parts]
    seeds = seeds_by_spread(claim.effect_to_see, cells, len(parts), is_equivalence=claim.is_equivalence)
    return Verdict(UNDECIDED, found, seeds.needed, seeds.at_most)


def _has_interval(found: Estimate | None) -> bool:
    return found is not None and found.half_width is not None and found.has_spread


def _directional(claim: Claim, found: Estimate) -> str:
    if not found.excludes_zero:
        return UNDECIDED
    return AGREES if (found.mean > 0) == (claim.direction == MORE) else CONTRADICTS


def _equivalence(claim: Claim, found: Estimate) -> str:
    inner, outer = found.half_width_at(EQUIVALENCE) or 0.0, found.half_width or 0.0
    if abs(found.mean) + inner < claim.margin:
        return AGREES
    return CONTRADICTS if abs(found.mean) - outer > claim.margin else UNDECIDED


def decide(claim: Claim, found: Iterable[Measurements], data_set: DataSet) -> Verdict:
    """Looks a claim's cells up on a data set and decides it.

    Args:
        claim: whose cells are named as the small scale spells them.
        found: what was measured of its exhibit's axes, by experiment and scale.
        data_set: whose cells count; a cell is taken from where it has results, else from where it is planned.
    """
    parts = list(found)
    cells = [_find(claim, parts, key, data_set) for _, key in claim.parts]
    target = claim.targets.get(data_set.id, "")
    missing = [cell is None or not cell[1].results for cell in cells]
    if any(missing):
        lacking = [cell for cell, is_missing in zip(cells, missing, strict=True) if is_missing and cell]
        return Verdict(NOT_RUN, target=target, commands=_commands(lacking))
    measured = [cell for _, cell in filter(None, cells)]
    values = [(sign, _values(claim, cell)) for (sign, _), cell in zip(claim.parts, measured, strict=True)]
    verdict = judge(claim, values, target)
    names = dict.fromkeys(cell.cell.runs[0].data.name for cell in measured)
    return dataclasses.replace(
        verdict,
        num_diverged=sum(cell.num_diverged for cell in measured),
        target=target,
        regime=", ".join(names),
        commands=_commands(
            [cell for cell in cells if cell and verdict.word == UNDECIDED and cell[1].missing]
        ),
    )


def _find(
    claim: Claim, parts: Sequence[Measurements], key: Key, data_set: DataSet
) -> tuple[Measurements, Measured] | None:
    """A claim's cell, with what it was found in."""
    planned = []
    for part in parts:
        cell = part.cells.get(claim.exhibit.at_scale(key, part.scale))
        if cell is not None and cell.cell.runs[0].data.name in data_set.data:
            if cell.results:
                return part, cell
            planned.append((part, cell))
    return planned[0] if planned else None


def _values(claim: Claim, cell: Measured) -> list[float]:
    if len(claim.metrics) == 1:
        return list(cell.values(claim.metrics[0]).values())
    return within_runs(cell, *claim.metrics)


def _commands(cells: Iterable[tuple[Measurements, Measured]]) -> tuple[str, ...]:
    """The sweeps that run some cells, which skip what is done."""
    commands = (part.sweep_commands([cell]) for part, cell in cells)
    return tuple(dict.fromkeys(itertools.chain.from_iterable(commands)))


@dataclass(frozen=True)
class Count:
    """How many verdicts of a kind a scoreboard has."""

    by_word: Mapping[str, int]
    num_tested: int

    def of(self, word: str) -> int:
        """Verdicts of a word."""
        return self.by_word.get(word, 0)


def count_verdicts(verdicts: Iterable[Verdict]) -> Count:
    """Counts verdicts by their words, and those that rest on an interval."""
    found = list(verdicts)
    words = [verdict.word for verdict in found]
    return Count({word: words.count(word) for word in dict.fromkeys(words)}, sum(v.is_tested for v in found))
