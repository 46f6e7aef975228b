"""An exhibit as the pages show it: what was measured for it, what is drawn and what is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gnexp.report.exhibits.cells import Findings
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.prose import Prose
from gnexp.report.render.blocks import Block
from gnexp.report.render.plots import Plot
from gnexp.runs.result import Result


@dataclass(frozen=True)
class _Sentences:
    twins: dict[str, str]  # by the scale of the exhibit that leads to its twin


_PROSE = Prose("section", _Sentences)


@dataclass(frozen=True)
class Section:
    """An exhibit with what was measured for it and what is shown of it."""

    exhibit: Exhibit
    found: Findings
    plot: Plot | None  # of a figure
    body: tuple[Block, ...] = ()  # of a document
    commands: tuple[str, ...] = ()  # what makes the files it lacks, where a sweep does not
    links: tuple[tuple[str, str], ...] = ()  # its files below results/: a word and a path
    twin: str = ""  # the first file of its exhibit's twin below results/, where that has been rendered

    @property
    def twin_words(self) -> str:
        """What its twin is, as the words of a link."""
        return _PROSE.text.twins[self.exhibit.scale]

    @property
    def run_ids(self) -> set[str]:
        """The runs behind it."""
        return {result.run_id for result in unique_results([self])}


def unique_results(sections: Iterable[Section]) -> list[Result]:
    """Every result behind the report, once, by id."""
    found: dict[str, Result] = {}
    for section in sections:
        for part in (section.found.ours, section.found.paper, section.found.control):
            found.update({result.run_id: result for result in (part.results if part else [])})
    return [found[run_id] for run_id in sorted(found)]


def seeds_and_planned(section: Section) -> str:
    """How many of an exhibit's runs exist, for the index."""
    parts = []
    for name, part in (
        (section.found.ours.scale, section.found.ours),
        ("control", section.found.control),
        ("paper", section.found.paper),
    ):
        is_asked = name != "paper" or not section.exhibit.is_ours
        if part is not None and (is_asked or part.has_any):
            parts.append(f"{name} {part.num_planned - part.num_missing}/{part.num_planned}")
    return ", ".join(parts)
