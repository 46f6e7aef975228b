"""How numbers are written, and what may be said of them: a claim needs an interval that excludes 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from gnexp.report.exhibits.cells import Measured, seeds_text
from gnexp.report.exhibits.measures import Wording
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.statistics import Estimate

DASH = "–"


@dataclass(frozen=True)
class _Sentences:
    intervals: str
    no_interval: Annotated[str, "seeds"]


_PROSE = Prose("words", _Sentences)


def say_intervals() -> str:
    """What the intervals of a table are; the part of a sentence."""
    return _PROSE.text.intervals


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign; the minus is a minus, and zero has none."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else "−") + text


def say_mean(cell: Measured | None, metric: str) -> str:
    """A cell of a table: mean, interval and n, or why there is none."""
    if cell is None or not cell.results:
        return DASH
    found = cell.estimate(metric)
    diverged = f"{cell.num_diverged} of {len(cell.results)} diverged" if cell.num_diverged else ""
    if found is None:
        return diverged or DASH
    spread = "" if found.half_width is None else f" ± {found.half_width:.1f}"
    return f"{found.mean:.1f}{spread} ({', '.join(filter(None, (say_n(found), diverged)))})"


def say_effect(found: Estimate | None) -> str:
    """A difference in a table: mean, interval and n."""
    if found is None:
        return DASH
    spread = "" if found.half_width is None else f" ± {found.half_width:.1f}"
    return f"{signed(found.mean)}{spread} ({say_n(found)})"


def say_interval(found: Estimate | None) -> str:
    """A difference with the ends of its interval."""
    if found is None:
        return DASH
    if found.half_width is None:
        return f"{signed(found.mean, 2)} ({say_n(found)})"
    low, high = found.mean - found.half_width, found.mean + found.half_width
    return f"{signed(found.mean, 2)} [{signed(low, 2)}, {signed(high, 2)}] ({say_n(found)})"


def say_points(found: Estimate, *, is_size: bool = False, digits: int = 1) -> str:
    """A difference in a sentence: +5.2 points (95 % interval +3.1 to +7.3, 3 seeds). is_size leaves out its sign."""
    points = f"{abs(found.mean):.{digits}f}" if is_size else signed(found.mean, digits)
    points += " points"
    if found.half_width is None:
        return f"{points} ({no_interval(found)})"
    low, high = found.mean - found.half_width, found.mean + found.half_width
    return f"{points} (95 % interval {signed(low, digits)} to {signed(high, digits)}, {seeds_text(found.counts)})"


def no_interval(found: Estimate) -> str:
    """Why nothing is claimed of a difference that has no interval."""
    return _PROSE.text.no_interval.format(seeds=seeds_text(found.counts))


def say_n(found: Estimate) -> str:
    """The seeds of each cell: n=3, or of cells that differ n=3 to 5."""
    low, high = min(found.counts), max(found.counts)
    return f"n={low}" if low == high else f"n={low} to {high}"


def say_contrast(
    wording: Wording, words: Mapping[str, str], found: Estimate | None, paper: float | None
) -> str:
    """One sentence on the difference of two cells, no stronger than its interval allows. words: see Wording."""
    beside = "" if paper is None else f"; the paper: {signed(paper)}"
    if found is None:
        return f"{wording.unmeasured.format(**words)}{beside}."
    sized = {**words, "size": f"{abs(found.mean):.1f} points"}
    if found.half_width is None:
        seen = wording.rose if found.mean > 0 else wording.fell
        seen = wording.same if signed(found.mean) == "0.0" else seen
        return f"{seen.format(**sized)} ({no_interval(found)}{beside})."
    low, high = found.mean - found.half_width, found.mean + found.half_width
    interval = f"95 % interval {signed(low)} to {signed(high)}, {seeds_text(found.counts)}{beside}"
    if not found.excludes_zero:
        return f"{wording.undecided.format(**words)} ({signed(found.mean)} points, {interval})."
    claim = wording.rises if found.mean > 0 else wording.falls
    return f"{claim.format(**sized)} ({interval})."


def join(words: list[str]) -> str:
    """A list in a sentence: a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
