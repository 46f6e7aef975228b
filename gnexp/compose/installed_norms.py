"""The norms of installed packages in gnexp's own experiments, whose grids cannot name them."""

from __future__ import annotations

import dataclasses

from gnexp.compose.composer import expand
from gnexp.config.experiment import Expansion
from gnexp.config.kinds import offers

_NORM = "norm"


def expand_with_installed(experiment: str, scale: str) -> Expansion:
    """Every run of an experiment at a scale; where it compares norms, also those of each norm that a package adds.

    They are what `gnexp sweep experiment=... norm=<theirs>` makes. Where a norm cannot be, it has no cells.
    """
    own = expand(experiment, scale)
    if _NORM not in own.axes:
        return own
    cells = list(own.cells)
    for kind in offers().classes:
        words = (f"{_NORM}={kind}",)
        try:
            added = expand(experiment, scale, words).cells
        except ValueError:  # which the sweep itself would tell
            continue
        cells += [dataclasses.replace(cell, added_by=words) for cell in added]
    return dataclasses.replace(own, cells=tuple(cells))
