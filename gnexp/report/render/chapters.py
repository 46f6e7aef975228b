"""The page's order of reading: exhibits that ask the same question stand together, with what to type for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.render.blocks import Commands
from gnexp.report.render.section import Section, seeds_and_planned


@dataclass(frozen=True)
class Chapter:
    """The exhibits of one choice of experiments, in the order of the report."""

    id: str  # of its part of the page
    question: str
    sections: tuple[Section, ...]

    @property
    def run_block(self) -> Commands:
        """Its sweeps at every scale, folded away, under how many of their runs exist."""
        parts = [
            part
            for section in self.sections
            for part in (section.found.small, section.found.control, section.found.paper)
            if part is not None
        ]
        commands = dict.fromkeys(command for part in parts for command in part.sweep_commands())
        commands |= dict.fromkeys(command for section in self.sections for command in section.commands)
        # The fullest of its exhibits speaks for all: one of them has the control.
        counts = max((seeds_and_planned(section) for section in self.sections), key=len)
        return Commands(f"How to run it (runs found of runs planned: {counts})", tuple(commands), True)


def make_chapters(sections: Sequence[Section]) -> list[Chapter]:
    """Groups the exhibits by their experiments and scale, each chapter at the place of its first exhibit."""
    groups: dict[tuple[str, ...], list[Section]] = {}
    for section in sections:
        at = () if section.exhibit.scale == Exhibit.scale else (section.exhibit.scale,)
        groups.setdefault((*section.exhibit.experiments, *at), []).append(section)
    return [
        Chapter(f"ask-{'-'.join(names)}", group[0].found.small.question, tuple(group))
        for names, group in groups.items()
    ]
