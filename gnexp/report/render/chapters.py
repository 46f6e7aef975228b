"""The page's order of reading: exhibits that ask the same question stand together, with what to type for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gnexp.report.exhibits.exhibit import OUR_SCALES
from gnexp.report.render.blocks import Commands
from gnexp.report.render.section import Section, seeds_and_planned


@dataclass(frozen=True)
class Chapter:
    """The exhibits that ask one question, those of generated data last."""

    id: str  # of its part of the page
    question: str
    sections: tuple[Section, ...]

    @property
    def run_block(self) -> Commands:
        """Its sweeps at every scale, folded away, under how many of their runs exist."""
        parts = [
            part
            for section in self.sections
            for part in (section.found.ours, section.found.control, section.found.paper)
            if part is not None
        ]
        commands = dict.fromkeys(command for part in parts for command in part.sweep_commands())
        commands |= dict.fromkeys(command for section in self.sections for command in section.commands)
        # The fullest of its exhibits speaks for all of a scale: one of them has the control.
        counts: dict[str, str] = {}
        for section in self.sections:
            scale = section.exhibit.scale
            counts[scale] = max(counts.get(scale, ""), seeds_and_planned(section), key=len)
        told = dict.fromkeys(part for words in counts.values() for part in words.split(", "))
        return Commands(
            f"How to run it (runs found of runs planned: {', '.join(told)})", tuple(commands), True
        )


def make_chapters(sections: Sequence[Section]) -> list[Chapter]:
    """Groups the exhibits by what they ask, each chapter at the place of its first exhibit, photographs first."""
    groups: dict[str, list[Section]] = {}
    for section in sections:
        groups.setdefault(section.found.ours.question, []).append(section)
    return [
        Chapter(
            f"ask-{'-'.join(group[0].exhibit.experiments)}",
            question,
            tuple(sorted(group, key=lambda section: OUR_SCALES.index(section.exhibit.scale))),
        )
        for question, group in groups.items()
    ]
