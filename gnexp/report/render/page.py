"""results/report.html: one self-contained page, by the template beside this file."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gnexp.report.exhibits.scoreboard import Scoreboard
from gnexp.report.render.blocks import (
    Aside,
    Block,
    Commands,
    Gallery,
    Heading,
    Items,
    Table,
    Text,
)
from gnexp.report.render.chapters import Chapter, make_chapters
from gnexp.report.render.drawings import embed, share_letters
from gnexp.report.render.scoreboard import scoreboard_blocks
from gnexp.report.render.section import Section
from gnexp.report.render.summary import answer, questions, run_blocks
from gnexp.report.render.tables import source_text
from gnexp.report.render.trust import trust_blocks

_TEMPLATES = Path(__file__).parent / "templates"
_BLOCKS = (Heading, Text, Items, Table, Commands, Gallery)  # that the template shows


def make_page(
    sections: Sequence[Section],
    notes: Sequence[str],
    drawings: Mapping[str, tuple[str, str]],
    gpu: Sequence[Block],
    board: Scoreboard | None,
) -> str:
    """The whole report. drawings: exhibit id -> its SVG, wide and narrow; gpu: what was measured on GPUs."""
    chapters = make_chapters(sections)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            title="Group Normalization: a reproduction",
            # The scoreboard's answer opens with what was asked.
            question=" ".join(questions(sections[:1])) if board is None else "",
            answer=answer(sections, board),
            opening=next((section for section in sections if section.exhibit.id in drawings), None),
            scoreboard=scoreboard_blocks(board) if board is not None else [],
            chapters=chapters,
            bodies={name: body for chapter in chapters for name, body in _bodies(chapter).items()},
            drawings={
                one.exhibit.id: embed(one.exhibit.id, *drawings[one.exhibit.id], one.plot.alt)
                for one in sections
                if one.plot is not None and one.exhibit.id in drawings
            },
            letters=share_letters(svg for pair in drawings.values() for svg in pair),
            gpu=gpu,
            run=run_blocks(sections),
            trust=trust_blocks(sections, notes),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.tests |= {kind.__name__.lower(): _is_a(kind) for kind in _BLOCKS}
    environment.filters |= {
        "marks": _marks,
        "number": _number,
        "plain": _plain,
        "base64": _base64,
        "anchor": _anchor,
    }
    return environment


def _is_a(kind: type) -> Callable[[object], bool]:
    return lambda block: isinstance(block, kind)


def _bodies(chapter: Chapter) -> dict[str, list[Block]]:
    """What the page shows of a chapter's exhibits that are not drawn, by their ids.

    A part with the same tables as one above it, such as the paper's values under two of our scales, stands once.
    """
    bodies: dict[str, list[Block]] = {}
    shown: set[tuple[Block, ...]] = set()
    for section in chapter.sections:
        # Subheadings sit one level below the exhibit's own; what to type stands at the chapter's end.
        blocks = [
            Heading(block.text, 4) if isinstance(block, Heading) else block
            for block in section.body
            if not isinstance(block, Commands | Aside)
        ]
        parts = [part for part in _parts(blocks) if part not in shown]
        shown.update(part for part in parts if any(isinstance(block, Table) for block in part))
        told = [block for part in parts for block in part]
        bodies[section.exhibit.id] = (
            [*told, Text(source_text(section.exhibit))] if blocks else [Text("Nothing has been run yet.")]
        )
    return bodies


def _parts(blocks: Sequence[Block]) -> list[tuple[Block, ...]]:
    """Blocks, each heading with what follows it."""
    starts = [i for i, block in enumerate(blocks) if i == 0 or isinstance(block, Heading)]
    return [tuple(blocks[a:b]) for a, b in zip(starts, [*starts, len(blocks)][1:], strict=True)]


def _marks(text: str) -> Markup:
    """A paragraph's text, escaped, with its two marks."""
    # No line ends within 95 %, G = 8 or 6.0 ± 1.5.
    escaped = re.sub(
        r"(?<=\d) (?=[%±])|(?<=±) (?=\d)|(?<=\S) (?== )|(?<= =) ", "\u00a0", html.escape(text, quote=False)
    )
    escaped = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped)
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", escaped))


def _number(cell: str) -> Markup:
    """A cell with its count of seeds set small on a line of its own, so that the numbers stand out."""
    return Markup(re.sub(r" (\(n=\d+[^)]*\))$", r" <small>\1</small>", str(_marks(cell))))


def _plain(text: str) -> str:
    return text.replace("`", "").replace("**", "")


def _anchor(path: str) -> str:
    """A path as an id."""
    return re.sub(r"\W+", "-", path)


def _base64(content: bytes) -> str:
    """A picture itself, since the page is one file."""
    return base64.b64encode(content).decode()
