"""results/report.html: one self-contained page, by the template beside this file."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from gnexp.report.render.chapters import make_chapters
from gnexp.report.render.figures import GRID, HUES, INK, MUTED, PAPER
from gnexp.report.render.scoreboard import scoreboard_blocks
from gnexp.report.render.section import Section
from gnexp.report.render.summary import answer, questions, run_blocks
from gnexp.report.render.tables import source_text
from gnexp.report.render.trust import trust_blocks

_TEMPLATES = Path(__file__).parent / "templates"
_BLOCKS = (Heading, Text, Items, Table, Commands, Gallery)  # that the template shows


@dataclass(frozen=True)
class Drawing:
    """A figure in two widths, as parts of the page."""

    wide: Markup
    narrow: Markup


def make_page(
    sections: Sequence[Section],
    notes: Sequence[str],
    drawings: Mapping[str, tuple[str, str]],
    gpu: Sequence[Block],
    board: Scoreboard | None,
) -> str:
    """The whole report. drawings: exhibit id -> its SVG, wide and narrow; gpu: what was measured on GPUs."""
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            title="Group Normalization: a reproduction",
            question=" ".join(questions(sections[:1])),
            answer=answer(sections, board),
            opening=next((section for section in sections if section.exhibit.id in drawings), None),
            scoreboard=scoreboard_blocks(board) if board is not None else [],
            chapters=make_chapters(sections),
            bodies={section.exhibit.id: _body(section) for section in sections},
            drawings={
                s.exhibit.id: _draw(s, *drawings[s.exhibit.id]) for s in sections if s.exhibit.id in drawings
            },
            gpu=gpu,
            run=run_blocks(sections),
            trust=trust_blocks(sections, notes),
        )
    )


def without_drawings(page: str) -> str:
    """The page with its SVG taken out: what does not depend on matplotlib's version. The digests stay."""
    return re.sub(r"<svg\b.*?</svg>", "<svg/>", page, flags=re.DOTALL)


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
    environment.filters |= {"marks": _marks, "number": _number, "plain": _plain, "base64": _base64}
    return environment


def _is_a(kind: type) -> Callable[[object], bool]:
    return lambda block: isinstance(block, kind)


def _body(section: Section) -> list[Block]:
    """What the page shows of an exhibit that is not drawn."""
    if not section.body:
        return [Text("Nothing has been run yet.")]
    # Subheadings sit one level below the exhibit's own; what to type stands at the chapter's end.
    return [
        Heading(block.text, 4) if isinstance(block, Heading) else block
        for block in (*section.body, Text(source_text(section.exhibit)))
        if not isinstance(block, Commands | Aside)
    ]


def _draw(section: Section, wide: str, narrow: str) -> Drawing:
    name, alt = section.exhibit.id, section.plot.alt if section.plot else ""
    return Drawing(_embed(wide, f"{name}-wide", alt), _embed(narrow, f"{name}-narrow", alt))


def _embed(svg: str, prefix: str, alt: str) -> Markup:
    """An SVG as part of the page: ids of its own, the page's colours, and words for who cannot see it."""
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>\s*", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'\bid="', f'id="{prefix}-', drawing)
    drawing = drawing.replace('href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
    colours = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"}
    colours |= {colour: name for name, colour in HUES.items()}
    for colour, name in colours.items():
        drawing = drawing.replace(colour, f"var(--{name})")
    drawing = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", drawing, count=1)
    return Markup(drawing.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1).rstrip())


def _marks(text: str) -> Markup:
    """A paragraph's text, escaped, with its two marks."""
    # No line ends within 95 % or G = 8.
    escaped = re.sub(r"(?<=\d) (?=%)|(?<=\S) (?== )|(?<= =) ", "\u00a0", html.escape(text, quote=False))
    escaped = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped)
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", escaped))


def _number(cell: str) -> Markup:
    """A cell with its count of seeds set small on a line of its own, so that the numbers stand out."""
    return Markup(re.sub(r" (\(n=\d+[^)]*\))$", r" <small>\1</small>", str(_marks(cell))))


def _plain(text: str) -> str:
    return text.replace("`", "").replace("**", "")


def _base64(content: bytes) -> str:
    """A picture itself, since the page is one file."""
    return base64.b64encode(content).decode()
