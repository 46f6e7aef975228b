"""The differences that an exhibit is about: as a table with their targets, and as sentences."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated

from gnexp.report.exhibits.cells import Measurements
from gnexp.report.exhibits.exhibit import Contrast, Exhibit
from gnexp.report.exhibits.measures import Measure
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.statistics import Estimate
from gnexp.report.exhibits.words import DASH, say_contrast, say_interval, signed
from gnexp.report.render.blocks import Table


@dataclass(frozen=True)
class _Sentences:
    differences: str
    targets: Annotated[str, "title"]
    in_text: str


_PROSE = Prose("contrasts", _Sentences)


def contrast_sentences(exhibit: Exhibit, found: Measurements) -> list[str]:
    """One sentence per contrast and measure, worded as its interval allows."""
    sentences = []
    for contrast in exhibit.contrasts:
        of, minus = (exhibit.at_scale(key, found.scale) for key in (contrast.of, contrast.minus))
        for measure in exhibit.score.compared:
            ours = found.difference(of, minus, exhibit.key_of(measure))
            words = {"of": exhibit.title_of(of), "minus": exhibit.title_of(minus), "measure": measure.title}
            theirs = _paper_difference(exhibit, contrast, measure)
            sentences.append(say_contrast(exhibit.score.wording, words, ours, theirs))
    return sentences


def contrast_table(exhibit: Exhibit, small: Measurements, control: Measurements | None) -> Table:
    """Every contrast with the paper's value, ours, the control's and whether its target was met."""
    has_target = any(contrast.target for contrast in exhibit.contrasts)
    columns = [] if exhibit.is_ours else ["the paper"]
    columns += ["ours", *(["control"] if control else []), *(["target for the mean"] if has_target else [])]
    compared = exhibit.score.compared
    rows = []
    for contrast, measure in itertools.product(exhibit.contrasts, compared):
        of, minus, metric = contrast.of, contrast.minus, exhibit.key_of(measure)
        ours = small.difference(of, minus, metric)
        paper = _paper_difference(exhibit, contrast, measure)
        of_what = f"{measure.title}: " if len(compared) > 1 else ""
        row = [f"{of_what}{exhibit.title_of(of)} minus {exhibit.title_of(minus)}"]
        row += [] if exhibit.is_ours else [DASH if paper is None else signed(paper)]
        row.append(say_interval(ours))
        if control is not None:
            row.append(say_interval(control.difference(of, minus, metric)))
        if has_target:
            row.append(_say_target(contrast, ours) if measure is compared[0] else DASH)
        rows.append(tuple(row))
    title = _PROSE.text.differences
    title = _PROSE.text.targets.format(title=title) if has_target else title
    return Table(title, ("difference", *columns), tuple(rows))


def text_table(exhibit: Exhibit, small: Measurements) -> list[Table]:
    """What the paper's prose says of differences that its tables lack, and ours; nothing where it says none."""
    rows = [
        (
            f"{told.measure.title}: {exhibit.title_of(told.of)} minus {exhibit.title_of(told.minus)}",
            told.source,
            told.says,
            say_interval(small.difference(told.of, told.minus, exhibit.key_of(told.measure))),
        )
        for told in exhibit.in_text
    ]
    header = ("difference", "where", "the paper's text", "ours")
    return [Table(_PROSE.text.in_text, header, tuple(rows), 2)] if rows else []


def _paper_difference(exhibit: Exhibit, contrast: Contrast, measure: Measure) -> float | None:
    return exhibit.paper_difference(
        exhibit.paper_key(contrast.of), exhibit.paper_key(contrast.minus), measure
    )


def _say_target(contrast: Contrast, ours: Estimate | None) -> str:
    if not contrast.target:
        return DASH
    if ours is None:
        return contrast.target
    return f"{contrast.target}: {'met' if contrast.is_met(ours.mean) else 'not met'}"
