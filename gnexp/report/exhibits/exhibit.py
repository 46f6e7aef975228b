"""What an exhibit asks for: the schema of conf/exhibit/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from gnexp.config.experiment import AxisValue
from gnexp.report.exhibits.axes import Key, axis_title, cell_title, value_title
from gnexp.report.exhibits.measures import Measure, Score
from gnexp.report.exhibits.prose import Prose

OUR_SCALES = ("small", "demo")  # beside the paper's
OURS = "gnexp"  # source of an exhibit that the paper does not have


@dataclass(frozen=True)
class _Verified:
    two: str
    one: str
    secondary: str


@dataclass(frozen=True)
class _Sentences:
    verified: _Verified


_PROSE = Prose("exhibit", _Sentences)
VERIFIED = tuple(f.name for f in fields(_Verified))  # how sure we are of a value of the paper's


def say_verified(word: str) -> str:
    """One of VERIFIED in words."""
    return str(getattr(_PROSE.text.verified, word))


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A difference between two cells that the exhibit is about, with the target set for it beforehand."""

    of: Key
    minus: Key
    at_least: float | None = None  # points, of the exhibit's first measure
    at_most: float | None = None  # points, of the size

    @property
    def target(self) -> str:
        """The target in words; empty where none was set."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "" if self.at_most is None else f"within ±{self.at_most:g}"

    def is_met(self, difference: float) -> bool:
        """Whether a measured difference reaches the target."""
        return (self.at_least is None or difference >= self.at_least) and (
            self.at_most is None or abs(difference) <= self.at_most
        )


@dataclass(frozen=True, kw_only=True)
class InText:
    """A difference between two cells of which the paper's prose speaks and its tables do not. Approximate."""

    of: Key
    minus: Key
    says: str  # in a table: about −6; lower
    measure: Measure
    source: str  # its section
    difference: float | None = None  # points; None where the prose gives no number


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A table or figure: which experiments, which cells, the paper's values and their source."""

    id: str
    order: int  # place in the report
    kind: str  # of report/kinds
    title: str
    source: str  # where it stands in the paper, or gnexp
    experiments: tuple[str, ...]
    scale: str = "small"  # ours, beside the paper's: small, of photographs, or demo, of generated garments
    twin: str = ""  # the exhibit of the same file at our other scale, if it has one
    name: str = ""  # what the report calls it; from its id unless given: table2 -> Table 2
    verified: str | None = None  # how sure we are of the paper's values; None where it is not the paper's
    axes: tuple[str, ...] = ("norm", "batch")  # Hydra keys that tell its cells apart
    # axis -> the only value of it whose cells are shown, named as our scale spells it
    only: Mapping[str, AxisValue] = field(default_factory=dict)
    control: str | None = (
        None  # experiment under which the effect is expected to be smaller; at our scale only
    )
    rows: tuple[str, ...] = ()  # axes
    columns: str | None = None
    lines: str | None = None
    panels: str | None = None
    metrics: tuple[str, ...] = ()  # of the per-epoch series
    # Effects are a cell's value minus this cell's, which is named as our scale spells it; an axis that it leaves
    # out keeps the value of the cell at hand.
    reference: Mapping[str, AxisValue] = field(default_factory=dict)
    eval_stats: str = "worker0"
    # in percent, one value per measure; None where the paper has a dash
    paper: Mapping[Key, tuple[float | None, ...]] = field(default_factory=dict)
    paper_only: tuple[Key, ...] = ()  # cells of the paper that are no runs of ours
    # Axis -> value at our scale -> the value of the paper that it stands for.
    stands_for: Mapping[str, Mapping[AxisValue, AxisValue]] = field(default_factory=dict)
    contrasts: tuple[Contrast, ...] = ()  # named as our scale spells them
    in_text: tuple[InText, ...] = ()  # its cells, too; they need not be the experiments'
    eval_stats_cells: tuple[Key, ...] = ()
    cells: tuple[Key, ...] = ()  # whose pictures are shown, as our scale spells them
    num_images: int = 0  # of val, the first ones, in each cell
    # What a reader has to know of the experiment, in the words of its YAML:
    beside: str = ""  # what another study found, with its source
    caption: str = ""  # what a figure draws, in sentences
    columns_note: str = ""  # what the values of the columns are, in sentences
    paper_regime: str = ""  # the paper's data and network, short
    regime: str = ""  # how our scale's was chosen, a sentence or more without the last one's full stop
    target_aside: str = ""  # where contrasts have targets, what the regime is: a regime selected to ..
    target_note: str = ""  # and what a target was, after "each of these differences was"
    trust: str = ""  # for the part on how far to trust the results, in sentences
    score: Score  # what its numbers are; its kind says so, not its YAML

    @property
    def metric(self) -> str:
        """Metric key of its first measure."""
        return self.key_of(self.score.measures[0])

    def key_of(self, measure: Measure) -> str:
        """Metric key of a measure under the exhibit's running statistics."""
        return measure.under(self.eval_stats) if measure in self.score.measures else measure.name

    @property
    def is_ours(self) -> bool:
        """Whether it is a question of this project's, which the paper does not ask."""
        return self.source == OURS

    def at(self, key: Key, axis: str) -> AxisValue:
        """A cell's value on an axis."""
        return key[self.axes.index(axis)]

    def shows(self, key: Key, scale: str) -> bool:
        """Whether it is about a cell, named as a scale does."""
        return all(
            self.at(key, axis) == self._value_at(axis, value, scale) for axis, value in self.only.items()
        )

    def axis_title(self, axis: str) -> str:
        """An axis in words; of videos a worker has clips, not images."""
        return self._of_clips(axis_title(axis))

    def value_title(self, axis: str, value: AxisValue) -> str:
        """A value that stands alone, likewise."""
        return self._of_clips(value_title(axis, value))

    def _of_clips(self, words: str) -> str:
        has_clips = "data.clip_length" in self.axes
        return words.replace("images per worker", "clips per worker") if has_clips else words

    def title_of(self, key: Key) -> str:
        """A cell in words, short: BN at 32."""
        return cell_title(dict(zip(self.axes, key, strict=True)))

    @property
    def reference_title(self) -> str:
        """The reference in words."""
        kept = [axis for axis in self.axes if axis not in self.reference]
        return " of the same ".join((cell_title(self.reference), *kept))

    def reference_of(self, key: Key, scale: str = "") -> Key:
        """The cell whose value is taken off a cell's, both of one scale."""
        return tuple(
            self._value_at(axis, self.reference[axis], scale) if axis in self.reference else value
            for axis, value in zip(self.axes, key, strict=True)
        )

    def at_scale(self, key: Key, scale: str) -> Key:
        """A cell named as our scale spells it, named as a scale does."""
        return tuple(self._value_at(axis, value, scale) for axis, value in zip(self.axes, key, strict=True))

    def paper_key(self, key: Key) -> Key:
        """The paper's cell that a cell of our scale stands for.

        Never of a key that is the paper's already: 32 frames may be ours for its 64 and its own at once.
        """
        return self.at_scale(key, "paper")

    def small_key(self, key: Key) -> Key:
        """The paper's cell, named as our scale would spell it."""
        ours = {
            axis: {theirs: own for own, theirs in pairs.items()} for axis, pairs in self.stands_for.items()
        }
        return tuple(ours.get(axis, {}).get(value, value) for axis, value in zip(self.axes, key, strict=True))

    def in_paper(self, key: Key, scale: str) -> Key:
        """The paper's cell of a cell that is named as a scale does."""
        return key if scale == "paper" else self.paper_key(key)

    def _value_at(self, axis: str, value: AxisValue, scale: str) -> AxisValue:
        """A value named as our scale spells it, named as a scale does."""
        return self.stands_for.get(axis, {}).get(value, value) if scale == "paper" else value

    def paper_value(self, key: Key, measure: Measure | None = None) -> float | None:
        """The paper's value of one of its cells, of the first measure unless said."""
        values = self.paper.get(key)
        return (
            None if values is None else values[0 if measure is None else self.score.measures.index(measure)]
        )

    def paper_difference(self, of: Key, minus: Key, measure: Measure | None = None) -> float | None:
        """The paper's value of one of its cells minus that of another, in points."""
        a, b = self.paper_value(of, measure), self.paper_value(minus, measure)
        return None if a is None or b is None else a - b
