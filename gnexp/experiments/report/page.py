"""results/report.html: one self-contained page, and results/README.md, its index on a code host."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from gnexp.experiments.report.blocks import Block, Heading, Table, Text, inline, to_html, to_markdown
from gnexp.experiments.report.figures import GRID, INK, MUTED, PAPER, STYLES
from gnexp.experiments.report.style import STYLE
from gnexp.experiments.report.summary import (
    Section,
    answer,
    question,
    run_blocks,
    seeds_and_planned,
    trust_blocks,
)
from gnexp.experiments.report.tables import fill_commands, paper_blocks, small_blocks, source_text

_TITLE = "Group Normalization: a reproduction"


def make_readme(sections: Sequence[Section], notes: Sequence[str]) -> str:
    """The index of results/, as Markdown."""
    rows = []
    for section in sections:
        exhibit = section.exhibit
        files = [f"[table](tables/{exhibit.id}.md)", f"[numbers](tables/{exhibit.id}.csv)"]
        if not exhibit.is_table:
            files = [f"[picture](figures/{exhibit.id}.svg)"] if section.plot else ["nothing to draw yet"]
        rows.append((exhibit.name, exhibit.title, seeds_and_planned(section), ", ".join(files)))
    blocks: list[Block] = [
        Heading("Results", 1),
        Text(
            "Written by `gnexp report`; do not edit. The same as one page with every table: [report.html](report.html)."
        ),
        Heading("What was asked"),
        Text(question(sections)),
        Heading("The answer"),
        Text(" ".join(answer(sections))),
    ]
    first = next((section for section in sections if section.plot), None)
    if first is not None and first.plot is not None:
        blocks += [
            Text(f"![{_markdown_alt(first.plot.alt)}](figures/{first.exhibit.id}.svg)"),
            Text(f"**{first.exhibit.name}.** {first.exhibit.title}. {first.plot.caption}"),
        ]
    blocks += [
        Heading("Exhibits"),
        Table("Runs found of runs planned", ("exhibit", "shows", "runs", "files"), tuple(rows), 4),
        Text("Every run behind them is in [runs/](runs), one JSON per run, named by its id."),
        Heading("How to run it"),
        *run_blocks(sections),
        Heading("How far to trust it"),
        *trust_blocks(sections, notes),
    ]
    return to_markdown(blocks)


def make_page(
    sections: Sequence[Section], notes: Sequence[str], drawings: Mapping[str, tuple[str, str]]
) -> str:
    """The whole report. drawings: exhibit id -> its SVG, wide and narrow."""
    body = [
        "<header>",
        '<p class="kicker">gnexp · Wu &amp; He 2018, arXiv 1803.08494</p>',
        f"<h1>{_TITLE}</h1>",
        f'<p class="question">{inline(question(sections[:1]) if sections else "")}</p>',
        "</header>",
        "<main>",
        '<section aria-label="The answer">',
        *(f'<p class="answer">{inline(paragraph)}</p>' for paragraph in answer(sections)),
        "</section>",
        *(_section(section, drawings) for section in sections),
        '<section id="run"><h2>How to run it</h2>',
        to_html(run_blocks(sections)),
        "</section>",
        '<section id="trust"><h2>How far to trust it</h2>',
        to_html(trust_blocks(sections, notes)),
        "</section>",
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


def _section(section: Section, drawings: Mapping[str, tuple[str, str]]) -> str:
    exhibit, found = section.exhibit, section.found
    parts = [
        f'<section id="{exhibit.id}">',
        f"<h2><span>{exhibit.name}</span> {html.escape(exhibit.title)}</h2>",
    ]
    if exhibit.is_table:
        # Subheadings sit one level below the section's own.
        body = section.body or (*small_blocks(exhibit, found), *paper_blocks(exhibit, found))
        blocks = [*body, Text(source_text(exhibit))]
        parts.append(to_html(Heading(b.text, 3) if isinstance(b, Heading) else b for b in blocks))
    elif section.plot is None:
        parts.append(to_html([Text("Nothing has been run yet."), *fill_commands(found.small)]))
    else:
        wide, narrow = drawings[exhibit.id]
        alt = section.plot.alt
        parts.append(
            f'<figure data-digest="{section.plot.digest}">'
            f'<div class="wide">{_embed(wide, f"{exhibit.id}-wide", alt)}</div>'
            f'<div class="narrow">{_embed(narrow, f"{exhibit.id}-narrow", alt)}</div>'
            f"<figcaption>{inline(section.plot.caption)}</figcaption></figure>"
        )
    return "\n".join([*parts, "</section>"])


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
