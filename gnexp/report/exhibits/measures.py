"""What an exhibit shows of a run: its metrics, what they are called, and how a difference of them is told.

The words, and which metrics a score has, stand in conf/prose.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from gnexp.config.fields import require
from gnexp.report.exhibits.prose import FILE, Prose

# Running statistics that evaluate the model -> what they add to a metric's key.
STATS = {"worker0": "", "mean": "_mean", "precise": "_precise"}
METRICS = {stats: f"val/top1_error{ending}" for stats, ending in STATS.items()}


@dataclass(frozen=True)
class Measure:
    """A metric of a run, in percent."""

    name: str  # in a result's metrics; running statistics add their ending
    title: str  # over a column and in a sentence

    def under(self, stats: str) -> str:
        """Its key under a set of running statistics."""
        return self.name + STATS[stats]


@dataclass(frozen=True)
class Wording:
    """Sentences on a difference: `of` against `minus` of a `measure`, `size` without its sign."""

    unmeasured: Annotated[str, "of", "minus", "measure"]
    same: Annotated[str, "of", "minus", "measure"]  # no interval, so past tense and no claim
    rose: Annotated[str, "of", "minus", "measure", "size"]
    fell: Annotated[str, "of", "minus", "measure", "size"]
    undecided: Annotated[str, "of", "minus", "measure"]  # the interval holds 0
    rises: Annotated[str, "of", "minus", "measure", "size"]
    falls: Annotated[str, "of", "minus", "measure", "size"]


@dataclass(frozen=True)
class Score:
    """The kind of number that an exhibit holds."""

    noun: str
    plural: str
    title: str  # over values that stand beside the paper's
    units: str  # what they are, which way is better; a sentence or two
    measures: tuple[Measure, ...]  # in the order of the paper's columns; the first one speaks for all
    compared: tuple[Measure, ...]  # that contrasts are told of
    wording: Wording
    in_text: tuple[Measure, ...] = ()  # in no column; the paper's prose speaks of them

    @property
    def told(self) -> dict[str, Measure]:
        """All that claims and the paper's prose may speak of, by name."""
        return {measure.name: measure for measure in (*self.measures, *self.in_text)}


@dataclass(frozen=True)
class _Sentences:
    running_statistics: str
    scores: Mapping[str, Score]


_PROSE = Prose("measures", _Sentences)


def score_named(name: str) -> Score:
    """A score of conf/prose.yaml.

    Raises:
        ValueError: there is none of that name.
    """
    scores = _PROSE.text.scores
    require(name in scores, f"conf/{FILE}: measures.scores must be one of {', '.join(scores)}, got {name}")
    return scores[name]


def stats_legend() -> str:
    """What the sets of running statistics are."""
    return _PROSE.text.running_statistics
