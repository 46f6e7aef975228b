"""What every part does: it reads what it is told, and writes what it finds at once, so that a kill loses nothing."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sizes import SIZES, Sizes

from gnexp.engine.device import choose_device
from gnexp.system.files import write_json

RUNNING, OK, WRONG = "running", "ok", "wrong"


class Part:
    """A part's file: figures, which the table shows, and rows, which are all that was measured.

    Args:
        name: of the part and of its file.
        device: what it measures.
        seconds: that it has, from now.
        out: folder of the file.
    """

    def __init__(self, name: str, device: torch.device, seconds: float, out: Path) -> None:
        self.name, self.device, self.out = name, device, out
        self.seconds = seconds
        self.sizes: Sizes = SIZES[device.type]
        self._end = time.monotonic() + seconds
        self._figures: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._write(RUNNING)

    @property
    def seconds_left(self) -> float:
        """Until it has to be done."""
        return self._end - time.monotonic()

    def row(self, row: dict[str, Any]) -> None:
        """Keeps what was measured."""
        self._rows.append(row)
        self._write(RUNNING)

    def figure(
        self,
        name: str,
        value: float | None,
        unit: str = "",
        *,
        low: float | None = None,
        high: float | None = None,
        n: int | None = None,
        note: str = "",
        is_wrong: bool = False,
    ) -> None:
        """Keeps a line of the table.

        Args:
            name: what it is.
            value: None where there is none, and the note says why.
            unit: of value, low and high.
            low: with high, the spread: the note says of what where it is not the quartiles.
            high: see low.
            n: how many measurements.
            note: what else has to be said.
            is_wrong: something that must be looked at.
        """
        figure = {
            "name": name, "value": value, "unit": unit, "low": low, "high": high, "n": n, "note": note,
            "is_wrong": is_wrong,
        }  # fmt: skip
        self._figures.append(figure)
        self._write(RUNNING)

    def end(self) -> None:
        """All was measured."""
        is_wrong = any(figure["is_wrong"] for figure in self._figures)
        self._write(WRONG if is_wrong or not self._figures else OK)

    def _write(self, status: str) -> None:
        found = {"part": self.name, "status": status, "figures": self._figures, "rows": self._rows}
        write_json(self.out / f"{self.name}.json", found)


def run_part(name: str, measure: Callable[[Part], None]) -> None:
    """A part's program."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--device", choices=sorted(SIZES), required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    part = Part(name, choose_device(options.device), options.seconds, options.out)
    measure(part)
    part.end()
