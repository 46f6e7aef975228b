"""results/report.html: one self-contained page, and results/README.md, its index on a code host."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

from gnexp.report.render.blocks import (
    Aside,
    Block,
    Commands,
    Heading,
    Items,
    Table,
    Text,
    inline,
    to_html,
    to_markdown,
)
from gnexp.report.render.chapters import Chapter, contents_nav, make_chapters
from gnexp.report.render.figures import GRID, INK, MUTED, PAPER, STYLES
from gnexp.report.render.grids import effect_grids
from gnexp.report.render.style import STYLE
from gnexp.report.render.summary import (
    Section,
    answer,
    other_findings,
    questions,
    run_blocks,
    seeds_and_planned,
    trust_blocks,
)
from gnexp.report.render.tables import source_text

_TITLE = "Group Normalization: a reproduction"


def make_readme(sections: Sequence[Section], notes: Sequence[str], gpu: Sequence[Block]) -> str:
    """The index of results/, as Markdown. gpu: what is said of GPUs."""
    rows = []
    for section in sections:
        exhibit = section.exhibit
        files = [f"[{word}]({path})" for word, path in section.links] or ["nothing to draw yet"]
        rows.append((exhibit.name, exhibit.title, seeds_and_planned(section), ", ".join(files)))
    blocks: list[Block] = [
        Heading("Results", 1),
        Text(
            "Written by `gnexp report`; do not edit. The same as one page with every table: [report.html](report.html)."
        ),
        Heading("What was asked"),
        Items(questions(sections)),
        Heading("The answer"),
        Text(" ".join(answer(sections))),
    ]
    first = next((section for section in sections if section.plot), None)
    if first is not None and first.plot is not None:
        blocks += [
            Text(f"![{_markdown_alt(first.plot.alt)}](figures/{first.exhibit.id}.svg)"),
            Text(f"**{first.exhibit.name}.** {first.exhibit.title}. {first.plot.caption}"),
        ]
    table = next((section for section in sections if section.exhibit.contrasts), None)
    if table is not None and table.found.small.has_any:
        control = table.found.control
        done = control if control is not None and control.has_any else None
        blocks += effect_grids(table.exhibit, table.found.small, done)
        blocks.append(
            Text(
                f"From [{table.exhibit.name}](tables/{table.exhibit.id}.md), which has the "
                f"{table.exhibit.score.plural} behind it as well."
            )
        )
    if found := other_findings(sections):
        blocks += [Heading("What else was found"), Items(tuple(found))]
    blocks += [
        Heading("Exhibits"),
        Table("Runs found of runs planned", ("exhibit", "shows", "runs", "files"), tuple(rows), 4),
        Text("Every run behind them is in [runs/](runs), one JSON per run, named by its id."),
        Heading("On a GPU"),
        *gpu,
        Heading("How to run it"),
        *run_blocks(sections),
        Heading("How far to trust it"),
        *trust_blocks(sections, notes),
    ]
    return to_markdown(blocks)


def make_page(
    sections: Sequence[Section],
    notes: Sequence[str],
    drawings: Mapping[str, tuple[str, str]],
    gpu: Sequence[Block],
) -> str:
    """The whole report. drawings: exhibit id -> its SVG, wide and narrow; gpu: what was measured on GPUs."""
    chapters = make_chapters(sections)
    found = other_findings(sections)
    body = [
        "<header>",
        '<p class="kicker">gnexp · Wu &amp; He 2018, arXiv 1803.08494</p>',
        f"<h1>{_TITLE}</h1>",
        f'<p class="question">{inline(" ".join(questions(sections[:1])))}</p>',
        "</header>",
        "<main>",
        '<section aria-label="The answer">',
        *(f'<p class="answer">{inline(paragraph)}</p>' for paragraph in answer(sections)),
        "</section>",
        *([_part("found", "What else was found", [Items(tuple(found))])] if found else []),
        contents_nav(chapters),
        *(_chapter(chapter, drawings) for chapter in chapters),
        _part("gpu", "On a GPU", gpu),
        _part("run", "How to run it", run_blocks(sections)),
        _part("trust", "How far to trust it", trust_blocks(sections, notes)),
        "</main>",
        "<footer><p>Written by <code>gnexp report</code> from results/runs, one JSON per run.</p></footer>",
    ]
    head = (
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{_TITLE}</title>\n<style>{STYLE}</style>'
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n'
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def without_drawings(page: str) -> str:
    """The page with its SVG taken out: what does not depend on matplotlib's version. The digests stay."""
    return re.sub(r"<svg\b.*?</svg>", "<svg/>", page, flags=re.DOTALL)


def _part(name: str, title: str, blocks: Iterable[Block]) -> str:
    return f'<section id="{name}"><h2>{title}</h2>\n{to_html(blocks)}</section>'


def _chapter(chapter: Chapter, drawings: Mapping[str, tuple[str, str]]) -> str:
    """A question with its figures, its tables and its commands."""
    parts = [_exhibit(section, drawings) for section in chapter.sections]
    head = f'<section id="{chapter.id}">\n<h2>{inline(chapter.question)}</h2>'
    return "\n".join([head, *parts, to_html([chapter.run_block]), "</section>"])


def _exhibit(section: Section, drawings: Mapping[str, tuple[str, str]]) -> str:
    exhibit = section.exhibit
    parts = [
        f'<article id="{exhibit.id}">',
        f"<h3><span>{html.escape(exhibit.name)}</span> {inline(exhibit.title)}</h3>",
    ]
    if section.body:
        # Subheadings sit one level below the exhibit's own; what to type stands at the chapter's end.
        parts.append(
            to_html(
                Heading(block.text, 4) if isinstance(block, Heading) else block
                for block in (*section.body, Text(source_text(exhibit)))
                if not isinstance(block, Commands | Aside)
            )
        )
    elif section.plot is None:
        parts.append(to_html([Text("Nothing has been run yet.")]))
    else:
        wide, narrow = drawings[exhibit.id]
        alt = section.plot.alt
        parts.append(
            f'<figure data-digest="{section.plot.digest}">'
            f'<div class="wide">{_embed(wide, f"{exhibit.id}-wide", alt)}</div>'
            f'<div class="narrow">{_embed(narrow, f"{exhibit.id}-narrow", alt)}</div>'
            f"<figcaption>{inline(section.plot.caption)}</figcaption></figure>"
        )
    return "\n".join([*parts, "</article>"])


def _embed(svg: str, prefix: str, alt: str) -> str:
    """An SVG as part of the page: ids of its own, the page's colours, and words for who cannot see it."""
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>\s*", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'\bid="', f'id="{prefix}-', drawing)
    drawing = drawing.replace('href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
    colours = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"}
    colours |= {colour: name for name, (colour, _) in STYLES.items() if name in ("bn", "gn", "ln", "in")}
    for colour, name in colours.items():
        drawing = drawing.replace(colour, f"var(--{name})")
    drawing = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", drawing, count=1)
    return drawing.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1).rstrip()


def _markdown_alt(text: str) -> str:
    return text.replace("[", "(").replace("]", ")")
