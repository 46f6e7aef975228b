"""What a figure plots: its numbers, before any drawing. Their digest identifies the figure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """One curve. low and high are the ends of bars or of a band; None where a point has none."""

    style: str  # what colour and marker it takes: bn, gn, 32, 2
    label: str  # written at its end
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    gaps: tuple[int, ...] = ()  # indices of points after which cells are missing
    is_light: bool = False  # the paper's curve behind ours


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    subtitle: str
    y_label: str
    lines: tuple[Line, ...]
    y_limits: tuple[float, float]
    reference: float | None = None  # height of a dotted line


@dataclass(frozen=True)
class Plot:
    """One figure: panels in a row, all with the same x axis."""

    id: str
    title: str
    x_label: str
    x_ticks: tuple[str, ...]  # names of x = 0, 1, 2, ...; empty for a numeric axis
    panels: tuple[Panel, ...]
    caption: str
    alt: str

    @property
    def digest(self) -> str:
        """sha256 of everything plotted, numbers to 6 significant digits (the last bits belong to the C library)."""
        values = _rounded({"id": self.id, "x": self.x_label, "ticks": self.x_ticks, "panels": self.panels})
        return "sha256:" + hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _rounded(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _rounded({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
