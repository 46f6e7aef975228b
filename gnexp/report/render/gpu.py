"""What `make gpu` has found on GPUs, as a table: results/bench/gpu/<device>/summary.json, one a device."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.words import DASH
from gnexp.report.render.blocks import Block, Heading, Items, Table, Text

GPU_TABLE = "tables/gpu.md"
_FOLDER, _SUMMARY, _FORMAT = "bench/gpu", "summary.json", 1


@dataclass(frozen=True)
class _Sentences:
    unmeasured: str
    spread: str


_PROSE = Prose("gpu", _Sentences)


@dataclass(frozen=True)
class Figure:
    """A row of the table."""

    name: str
    value: float | None  # None where there is none, and the note says why
    unit: str
    low: float | None
    high: float | None
    n: int | None
    note: str
    is_wrong: bool


@dataclass(frozen=True)
class Measured:
    """What one device's folder holds."""

    device: Mapping[str, Any]
    commit: str
    is_dirty: bool
    started: str
    budget: float
    parts: tuple[str, ...]  # how each ended, in words
    figures: tuple[Figure, ...]

    @property
    def name(self) -> str:
        """The device's."""
        return str(self.device["name"])


def load_gpu(results_dir: Path) -> tuple[tuple[Measured, ...], list[str]]:
    """Every device's summary in the order of their folders, and notes on what cannot be shown."""
    found: list[Measured] = []
    notes: list[str] = []
    for path in sorted((results_dir / _FOLDER).glob(f"*/{_SUMMARY}")):
        try:
            measured = _parse(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            said = f"{type(error).__name__}: {error}"
            notes.append(f"{path} is no summary of `make gpu` ({said}); bring the folder again, or delete it")
            continue
        if measured.device["kind"] != "cuda":
            notes.append(f"{path} is a rehearsal on a CPU and no measurement; delete its folder")
            continue
        found.append(measured)
    return tuple(found), notes


def gpu_sentence(measured: Sequence[Measured]) -> str:
    """What may be said of GPUs in one sentence."""
    if not measured:
        return _PROSE.text.unmeasured
    names = ", ".join(f"{one.name} (commit `{one.commit[:12]}`)" for one in measured)
    return f"Measured on {names}: see {GPU_TABLE}."


def gpu_blocks(measured: Sequence[Measured]) -> list[Block]:
    """All of it, without a heading of its own."""
    blocks: list[Block] = [Text(gpu_sentence(measured))]
    for one in measured:
        versions = [
            f"{key} {one.device[key]}" for key in ("python", "torch", "cuda", "triton") if one.device.get(key)
        ]
        changes = " with uncommitted changes" if one.is_dirty else ""
        blocks += [
            Heading(one.name, 3),
            Text(
                f"{', '.join(versions)}; commit `{one.commit[:12]}`{changes}; started {one.started}, "
                f"{one.budget:g} s at most. {_PROSE.text.spread}"
            ),
            Items(one.parts),
            Table(
                f"What {one.name} found",
                ("what", "value", "spread", "n", "note"),
                tuple(_row(figure) for figure in one.figures),
            ),
        ]
    return blocks


def _parse(found: Mapping[str, Any]) -> Measured:
    """A summary as `benchmarks/gpu` writes it.

    Raises:
        ValueError: another format.
        KeyError: something lacks.
    """
    if found["format"] != _FORMAT:
        raise ValueError(f"format must be {_FORMAT}, got {found['format']}")
    device = dict(found["device"])
    if not {"name", "kind"} <= device.keys():
        raise ValueError("device must have a name and a kind")
    parts = list(found["parts"])
    return Measured(
        device=device,
        commit=str(found["commit"]),
        is_dirty=bool(found["dirty"]),
        started=str(found["started"]),
        budget=float(found["budget"]),
        parts=tuple(_say_part(part) for part in parts),
        figures=tuple(Figure(**figure) for part in parts for figure in part["figures"]),
    )


def _say_part(part: Mapping[str, Any]) -> str:
    words = [f"{part['part']}: {part['status']}"]
    if part.get("seconds") is not None:
        words.append(f"{part['seconds']:g} s")
    return _plain("; ".join([*words, *filter(None, [part.get("message")])]))


def _row(figure: Figure) -> tuple[str, ...]:
    value = DASH if figure.value is None else f"{figure.value:g} {figure.unit}".strip()
    has_spread = figure.low is not None and figure.high is not None
    return (
        _plain(figure.name),
        f"**wrong** {value}" if figure.is_wrong else value,
        f"{figure.low:g} to {figure.high:g}" if has_spread else DASH,
        DASH if figure.n is None else str(figure.n),
        _plain(figure.note) or DASH,
    )


def _plain(text: str) -> str:
    """Text of another program without what would be marks of ours."""
    return " ".join(text.replace("|", "/").replace("`", "'").replace("**", "").split())
