"""results/README.md: the index of results/ on a code host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.scoreboard import Scoreboard
from gnexp.report.render.blocks import Block, Heading, Items, Table, Text, to_markdown
from gnexp.report.render.grids import effect_grids
from gnexp.report.render.scoreboard import NUMBERS, TABLE, scoreboard_blocks
from gnexp.report.render.section import Section, seeds_and_planned
from gnexp.report.render.summary import answer, questions, run_blocks
from gnexp.report.render.trust import trust_blocks


@dataclass(frozen=True)
class _Sentences:
    about: str
    runs: str


_PROSE = Prose("readme", _Sentences)


def make_readme(
    sections: Sequence[Section], notes: Sequence[str], gpu: Sequence[Block], board: Scoreboard | None
) -> str:
    """The index as Markdown. gpu: what is said of GPUs."""
    rows = []
    for section in sections:
        exhibit = section.exhibit
        files = [f"[{word}]({path})" for word, path in section.links] or ["nothing to draw yet"]
        files += [f"[its twin]({section.twin})"] if section.twin and not section.links else []
        rows.append((exhibit.name, exhibit.title, seeds_and_planned(section), ", ".join(files)))
    told = answer(sections, board)
    blocks: list[Block] = [
        Heading("Results", 1),
        Text(_PROSE.text.about),
        Heading("The answer"),
        Items(tuple(told)) if board is not None else Text(" ".join(told)),
    ]
    first = next((section for section in sections if section.plot), None)
    if first is not None and first.plot is not None:
        twin = f" [{first.twin_words}]({first.twin})." if first.twin else ""
        blocks += [
            Text(f"![{_markdown_alt(first.plot.alt)}](figures/{first.exhibit.id}.svg)"),
            Text(f"**{first.exhibit.name}.** {first.exhibit.title}. {first.plot.caption}{twin}"),
        ]
    if board is not None:
        links = f"[Notes, targets and what is not run]({TABLE}), [numbers]({NUMBERS})."
        blocks += [Heading("Scoreboard"), *scoreboard_blocks(board), Text(links)]
    blocks += [Heading("What was asked"), Items(questions(sections))]
    table = next((one for one in sections if one.exhibit.contrasts and one.found.ours.has_any), None)
    if table is not None:
        control = table.found.control
        done = control if control is not None and control.has_any else None
        blocks += effect_grids(table.exhibit, table.found.ours, done)
        blocks.append(
            Text(
                f"From [{table.exhibit.name}](tables/{table.exhibit.id}.md), which has the "
                f"{table.exhibit.score.plural} behind it as well."
            )
        )
    blocks += [
        Heading("Exhibits"),
        Table("Runs found of runs planned", ("exhibit", "shows", "runs", "files"), tuple(rows), 4),
        Text(_PROSE.text.runs),
        Heading("On a GPU"),
        *gpu,
        Heading("How to run it"),
        *run_blocks(sections),
        Heading("How far to trust it"),
        *trust_blocks(sections, notes),
    ]
    return to_markdown(blocks)


def _markdown_alt(text: str) -> str:
    return text.replace("[", "(").replace("]", ")")
