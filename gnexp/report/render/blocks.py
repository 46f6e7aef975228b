"""Parts of a document, written once and rendered twice: as Markdown here, as HTML by the page's template."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A heading below the document's title; level 2 to 4."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; `code` and **strong** are the only marks."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; its first columns hold text and are set left, the others numbers."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1


@dataclass(frozen=True)
class Commands:
    """Commands to type, folded away where there are many."""

    summary: str
    commands: tuple[str, ...]
    is_folded: bool = False


@dataclass(frozen=True)
class Picture:
    """A PNG: the words for who cannot see it, its place as a link from its document says it, its bytes."""

    alt: str
    path: str
    content: bytes


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, a row an image; None where there is no picture."""

    corner: str  # what the rows are named by
    header: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Picture | None, ...]], ...]


@dataclass(frozen=True)
class Aside:
    """A part that an exhibit's own document has under a heading and the page leaves out."""

    title: str
    blocks: tuple[Heading | Text | Items | Table, ...]


Block = Heading | Text | Items | Table | Commands | Gallery | Aside


def to_markdown(blocks: Iterable[Block]) -> str:
    """Markdown that reads well as plain text too: columns are padded."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Text(text):
            return text
        case Items(items):
            return "\n".join(f"- {item}" for item in items)
        case Table(title, header, rows, text_columns):
            widths = [max(3, *(len(row[i]) for row in (header, *rows))) for i in range(len(header))]
            rule = tuple("-" * w if i < text_columns else "-" * (w - 1) + ":" for i, w in enumerate(widths))
            lines = [
                " | ".join(_pad(row[i], width, i < text_columns) for i, width in enumerate(widths))
                for row in (header, rule, *rows)
            ]
            escaped = title.replace("*", r"\*")  # BN* would end the bold
            return f"**{escaped}**\n\n" + "\n".join(f"| {line} |" for line in lines)
        case Gallery(corner, header, rows):
            shown = [(name, *(f"![{p.alt}]({p.path})" if p else "–" for p in own)) for name, own in rows]
            table = ((corner, *header), ("---",) * (1 + len(header)), *shown)
            return "\n".join(f"| {' | '.join(row)} |" for row in table)
        case Aside(title, blocks):
            return to_markdown([Heading(title), *blocks]).rstrip("\n")
        case Commands(summary, commands, is_folded):
            code = "\n".join(f"    {command}" for command in commands)
            if is_folded:
                return f"<details><summary>{html.escape(summary)}</summary>\n\n{code}\n\n</details>"
            return f"{summary}\n\n{code}"


def _pad(cell: str, width: int, is_text: bool) -> str:
    return cell.ljust(width) if is_text else cell.rjust(width)
