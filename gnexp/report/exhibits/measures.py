"""What an exhibit shows of a run: its metrics, what they are called, and how a difference of them is told."""

from __future__ import annotations

from dataclasses import dataclass

# Running statistics that evaluate the model -> what they add to a metric's key.
STATS = {"worker0": "", "mean": "_mean", "precise": "_precise"}
STATS_LEGEND = (
    "Running statistics that evaluate the model: `worker0` those of the first worker (what users of "
    "DistributedDataParallel get), `mean` averaged over workers, `precise` pooled over a pass of training images."
)


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

    unmeasured: str
    same: str  # no interval, so past tense and no claim
    rose: str
    fell: str
    undecided: str  # the interval holds 0
    rises: str
    falls: str


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


ERROR = Measure("val/top1_error", "error")
TRAIN_ERROR = Measure("train/top1_error", "training error")  # in no column; the paper's prose speaks of it
METRICS = {stats: ERROR.under(stats) for stats in STATS}
ERRORS = Score(
    noun="error",
    plural="errors",
    title="Top-1 validation error",
    units="Errors are top-1 validation errors in percent, differences in points.",
    measures=(ERROR,),
    compared=(ERROR,),
    wording=Wording(
        unmeasured="{of} against {minus} has not been measured",
        same="{of} and {minus} erred the same",
        rose="{of} erred {size} more than {minus}",
        fell="{of} erred {size} less than {minus}",
        undecided="{of} and {minus} are not told apart",
        rises="{of} loses {size} against {minus}",
        falls="{of} gains {size} against {minus}",
    ),
)
HIGHER_IS_BETTER = Wording(
    unmeasured="The {measure} of {of} against that of {minus} has not been measured",
    same="The {measure} of {of} was the same as that of {minus}",
    rose="The {measure} of {of} was {size} higher than that of {minus}",
    fell="The {measure} of {of} was {size} lower than that of {minus}",
    undecided="The {measure} of {of} and that of {minus} are not told apart",
    rises="The {measure} of {of} is {size} higher than that of {minus}",
    falls="The {measure} of {of} is {size} lower than that of {minus}",
)
