"""Tables of values: the paper's, ours, and the differences that they are about."""

from __future__ import annotations

import dataclasses

from gnexp.config.fields import require
from gnexp.report.exhibits.cells import Findings
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.kinds.kind import Kept, Kind, derive_nothing
from gnexp.report.render.blocks import Aside, Block, Items
from gnexp.report.render.tables import paper_blocks, small_blocks, tell_differences


def _document(exhibit: Exhibit, found: Findings, kept: Kept) -> list[Block]:
    differences = (Items(tuple(tell_differences(exhibit, found))),)
    return [
        *small_blocks(exhibit, found),
        Aside(f"How the {found.ours.scale} scale differs from the paper's", differences),
        *paper_blocks(exhibit, found),
    ]


def _spread(exhibit: Exhibit) -> Exhibit:
    spanned = [*exhibit.rows, str(exhibit.columns)]
    require(
        sorted(spanned) == sorted(exhibit.axes),
        f"rows and columns must name each of the axes {', '.join(exhibit.axes)} once, got {', '.join(spanned)}",
    )
    return exhibit


def _row_a_cell(exhibit: Exhibit) -> Exhibit:
    require(
        not (exhibit.rows or exhibit.columns),
        f"a kind {exhibit.kind} has a row a cell and a column a measure, so neither rows nor columns",
    )
    return dataclasses.replace(exhibit, rows=exhibit.axes)


def by_measure(score: str) -> Kind:
    """A kind of table with a row a cell and a column a measure."""
    return Kind(
        needs=frozenset(),
        score=score,
        has_values=True,
        complete=_row_a_cell,
        document=_document,
        derive=derive_nothing,
    )


TABLE = Kind(
    needs=frozenset({"columns", "reference"}),
    has_values=True,
    complete=_spread,
    document=_document,
    derive=derive_nothing,
)
