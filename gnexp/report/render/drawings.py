"""Figures as parts of the page: in its colours, with ids of their own, and as small as they can be."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from gnexp.report.render.figures import GRID, HUES, INK, MUTED, PAPER

_COLOURS = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"} | {
    colour: name for name, colour in HUES.items()
}
_GLYPH = re.compile(r'<path id="(DejaVu[^"]*)"[^>]*/>')
_COORDINATES = re.compile(r'(?<=[ "])(?:d|x|y|x1|y1|x2|y2)="[^"]*"|(?<=translate\()[^)]*')


@dataclass(frozen=True)
class Drawing:
    """A figure in two widths, as parts of the page."""

    wide: Markup
    narrow: Markup


def embed(name: str, wide: str, narrow: str, alt: str) -> Drawing:
    """An exhibit's SVG, wide and narrow, for the page that has the letters of `share_letters` too."""
    return Drawing(
        *(_embed(svg, f"{name}-{width}", alt) for svg, width in ((wide, "wide"), (narrow, "narrow")))
    )


def share_letters(svgs: Iterable[str]) -> Markup:
    """The outlines of all letters, once for all drawings: each SVG has its own, a quarter of its size."""
    drawings = list(svgs)
    letters = {found[1]: found[0] for svg in drawings for found in _GLYPH.finditer(svg)}
    shared = "".join(_shrink(letters[name]) for name in sorted(letters))
    return Markup(f'<svg class="letters" aria-hidden="true"><defs>{shared}</defs></svg>' if drawings else "")


def without_drawings(page: str) -> str:
    """The page with its SVG taken out: what does not depend on matplotlib's version. The digests stay."""
    return re.sub(r"<svg\b.*?</svg>", "<svg/>", page, flags=re.DOTALL)


def _embed(svg: str, prefix: str, alt: str) -> Markup:
    drawing = svg[svg.index("<svg") :]
    # A style of an SVG is one of the whole page, which has these two lines itself.
    drawing = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", drawing, flags=re.DOTALL)
    letters = {found[1] for found in _GLYPH.finditer(drawing)}
    drawing = _GLYPH.sub("", drawing)
    used = (name for pair in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', drawing) for name in pair)
    named = [name for name in dict.fromkeys(used) if name and name not in letters]
    ids = {name: f"{prefix}-{number}" for number, name in enumerate(named)}
    drawing = re.sub(r' id="([^"]*)"', lambda m: f' id="{ids[m[1]]}"' if m[1] in ids else "", drawing)
    for name, new in ids.items():
        drawing = drawing.replace(f'href="#{name}"', f'href="#{new}"').replace(
            f"url(#{name})", f"url(#{new})"
        )
    for colour, name in _COLOURS.items():
        drawing = drawing.replace(colour, f"var(--{name})")
    # The page says how wide it is.
    drawing = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", drawing, count=1)
    label = f'<svg role="img" aria-label="{html.escape(alt)}"'
    return Markup(_shrink(drawing).replace("<svg", label, 1).rstrip())


def _shrink(svg: str) -> str:
    """As short as it can be said, and without what is below a hundredth of a point, which nobody sees."""
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = _COORDINATES.sub(lambda m: re.sub(r"\d+\.\d{3,}", _round, m[0]), svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    svg = re.sub(r" (?=[<\"/])|(?<=>) ", "", svg)
    svg = re.sub(r'(?<= d=")[^"]*', lambda m: re.sub(r" ?([A-Za-z]) ?", r"\1", m[0]), svg)
    svg = re.sub(r'(?<= style=")[^"]*', lambda m: re.sub(r"(?<=[:;]) ", "", m[0]), svg)
    svg = svg.replace("xlink:href", "href").replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    svg = svg.replace("DejaVuSans-Bold-", "B-").replace("DejaVuSans-", "L-")  # letters, in their ids
    svg = re.sub(r'(<use href="[^"]*") transform="translate\(([\d.]+) 0\)"', r'\1 x="\2"', svg)
    return re.sub(r"<defs></defs>|<g></g>|<g/>", "", svg)


def _round(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
