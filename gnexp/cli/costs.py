"""What a plan costs, as a table: a row a cell, when it is done, and what the times are taken from."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.compose.hardware import MEASURED, MODELLED, Hardware
from gnexp.config.experiment import Cell
from gnexp.config.words import counted, duration
from gnexp.runs.throughput import Speeds, choose_speed, read_speeds
from gnexp.sweep.plan import PENDING, PlannedRun, generations, summary

_HEADS = ("runs", "to do", "steps a run", "images a run", "parameters", "GMACs", "train FLOPs", "time a run")


@dataclass(frozen=True)
class Row:
    """A cell and what one of its runs costs; None is not known."""

    cell: Cell
    num_todo: int
    parameters: int
    macs: int  # of one image's forward pass
    steps: int | None
    images: int | None
    seconds: float | None
    is_rough: bool  # the seconds are those of runs less alike
    speed: tuple[float, str] | None = None  # of hardware=: images per second, and measured or modelled

    @property
    def flops(self) -> float | None:
        """Of training: three forward passes, a multiply-add counted as two."""
        return None if self.images is None else 6.0 * self.macs * self.images


@dataclass(frozen=True)
class Told:
    """What the command line says of speed and price."""

    speed: float | None
    hardware: Hardware | None
    price: float | None  # of an hour


@dataclass(frozen=True)
class Part:
    """Cells that stand in one table."""

    heading: tuple[str, ...]
    cells: tuple[Cell, ...]


def describe(
    parts: Sequence[Part],
    plan: Sequence[PlannedRun],
    found_costs: Mapping[str, Any],
    told: Told,
    places: tuple[Path, Path],
) -> str:
    """The tables of some parts, what all of it sums to, and notes.

    Args:
        parts: the cells, by table.
        plan: every run of them.
        found_costs: from gnexp.launch.jobs.plan, in the order of the parts' cells.
        told: speed and price as given.
        places: of finished and begun runs, whose speeds count where none is given.
    """
    machine = found_costs["machine"]
    speeds = [] if told.speed or told.hardware else read_speeds(*places)
    todo = {item.run.run_id for item in plan if item.state == PENDING}
    found = iter(found_costs["cells"])
    lines: list[str] = []
    rows: list[Row] = []
    for part in parts:
        own = []
        for cell, cost in zip(part.cells, found, strict=False):  # the next part goes on in what was counted
            known = choose_speed(cell.runs[0], machine, speeds)
            own.append(_row(cell, cost, todo, known, told))
        ids = {run.run_id for cell in part.cells for run in cell.runs}
        part_of_plan = [item for item in plan if item.run.run_id in ids]
        total = _totals(own, part_of_plan, told.price)
        ends = _ends(own, part_of_plan)
        table = _aligned(_table(own, ends, told))
        lines += [*part.heading, "", *table, "", total, *_first(own, ends)]
        lines += [""] * (len(parts) > 1)
        rows += own
    if len(parts) > 1:
        lines.append(f"all of them, each run once: {_totals(rows, plan, told.price)}")
    return "\n".join([*lines, *_notes(rows, told, machine)])


def _row(cell: Cell, cost: Mapping[str, Any], todo: Set[str], known: Speeds | None, told: Told) -> Row:
    run, size = cell.runs[0], cost["num_train"]
    per_epoch = run.recipe.epoch_steps or (None if size is None else size // run.total_batch)
    steps = None if per_epoch is None else per_epoch * run.recipe.epochs
    images = None if steps is None else steps * run.total_batch
    speed = told.hardware.speed(run, cost["macs"]) if told.hardware else None
    per_second = told.speed or (speed[0] if speed else known.images_per_second if known else None)
    return Row(
        cell,
        num_todo=len({run.run_id for run in cell.runs} & todo),
        parameters=cost["parameters"],
        macs=cost["macs"],
        steps=steps,
        images=images,
        seconds=images / per_second if images is not None and per_second else None,
        is_rough=known is not None and not known.is_alike,
        speed=speed,
    )


def _table(rows: Sequence[Row], ends: Mapping[int, float], told: Told) -> list[tuple[str, ...]]:
    """The heads and a line a cell, with the columns that something is known for."""
    table = [["cell", *_HEADS], *([*_shown(row)] for row in rows)]
    if told.hardware:
        _add(table, "images/s", ["-" if r.speed is None else f"{r.speed[0]:,.0f} {r.speed[1]}" for r in rows])
    if told.price is not None:
        _add(table, "cost a run", [_cost(row.seconds, told.price) for row in rows])
    if ends:
        _add(table, "done after", [duration(ends[id(row)]) if id(row) in ends else "-" for row in rows])
    return [tuple(line) for line in table]


def _add(table: list[list[str]], head: str, column: Sequence[str]) -> None:
    for line, text in zip(table, [head, *column], strict=True):
        line.append(text)


def _cost(seconds: float | None, price: float) -> str:
    return "-" if seconds is None else f"{seconds / 3600 * price:,.2f}"


def _ends(rows: Sequence[Row], plan: Sequence[PlannedRun]) -> dict[int, float]:
    """When each cell's last run is done, one after another in the sweep's order; none where a time is not known."""
    by_run = _by_run(rows)
    ends: dict[int, float] = {}
    now = 0.0
    for item in itertools.chain(*generations([item for item in plan if item.state == PENDING])):
        row = by_run[item.run.run_id]
        if row.seconds is None:
            return {}
        now += row.seconds
        ends[id(row)] = now
    return ends


def _first(rows: Sequence[Row], ends: Mapping[int, float]) -> list[str]:
    """A line about the cells that are done first, where there are several."""
    found = sorted((row for row in rows if id(row) in ends), key=lambda row: ends[id(row)])
    if len(found) < 2:
        return []
    named = [f"{name_of(row.cell)} after {duration(ends[id(row)])}" for row in found[:3]]
    return [f"done first, one run after another in the sweep's order: {', '.join(named)}"]


def _by_run(rows: Sequence[Row]) -> dict[str, Row]:
    """Two cells can be one run, which is the first one's."""
    return {run.run_id: row for row in reversed(rows) for run in row.cell.runs}


def _shown(row: Row) -> tuple[str, ...]:
    return (
        name_of(row.cell),
        str(len(row.cell.runs)),
        str(row.num_todo),
        "-" if row.steps is None else f"{row.steps:,}",
        "-" if row.images is None else f"{row.images:,}",
        f"{row.parameters:,}",
        f"{row.macs / 1e9:.3g}",
        "-" if row.flops is None else f"{row.flops:.2e}",
        "-" if row.seconds is None else "~" * row.is_rough + duration(row.seconds),
    )


def name_of(cell: Cell) -> str:
    """A cell in the first column: "bn batch=2"."""
    words = (str(v) if k == "norm" else f"{k}={v}" for k, v in cell.coordinates.items())
    return " ".join(words) or "(one cell)"


def _hardware_notes(rows: Sequence[Row], hardware: Hardware) -> list[str]:
    num = Counter(row.speed[1] for row in rows if row.speed)
    line = (
        f"Time: of {hardware.title}, all {hardware.gpus} GPUs of it for one run, without evaluation: "
        f"{counted(num[MEASURED], 'cell')} measured, {num[MODELLED]} modelled."
    )
    notes = [line]
    if num[MODELLED]:
        notes.append(
            "modelled: nobody has measured it; conf/hardware says how the number comes about and takes yours."
        )
    if any(row.speed is None for row in rows):
        notes.append(f"No time: {hardware.title} has no row of that precision.")
    return notes


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if index == 0 else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]


def _totals(rows: Sequence[Row], plan: Sequence[PlannedRun], price: float | None) -> str:
    """Each run once."""
    by_run = _by_run(rows)
    todo = [by_run[item.run.run_id] for item in plan if item.state == PENDING]
    parts = [summary(plan)]
    if todo:
        flops = [row.flops for row in todo if row.flops is not None]
        seconds = [row.seconds for row in todo if row.seconds is not None]
        if len(flops) == len(todo):
            images = sum(row.images or 0 for row in todo)
            parts.append(f"to do: {images:,} images, {sum(flops):.2e} FLOPs")
        if len(seconds) == len(todo):
            parts.append(f"{duration(sum(seconds))} one after another")
            if price is not None:
                parts.append(f"cost {_cost(sum(seconds), price)}")
    return ", ".join(parts)


def _notes(rows: Sequence[Row], told: Told, machine: Mapping[str, Any]) -> list[str]:
    notes = [
        "GMACs: billions of multiply-adds of one image's forward pass, as torchvision counts its GFLOPS.",
        "Of a detector that is a square image with as many RoIs as training takes at most, of video a clip.",
        "train FLOPs: an estimate, 3 forward passes an image, a multiply-add counted as 2; without evaluation.",
    ]
    place = machine["device"] if machine["device"] != "cpu" else machine["processor"]
    if told.speed:
        notes.append(f"Time: at {told.speed:g} images per second, as given.")
    elif told.hardware:
        notes += _hardware_notes(rows, told.hardware)
    elif any(row.seconds is not None for row in rows):
        rough = "; ~ of runs in other batches or on other data" if any(row.is_rough for row in rows) else ""
        notes.append(f"Time: evaluation included, from like runs on this machine ({place}){rough}.")
    if any(row.images is None for row in rows):
        notes.append("No images: the folder is not here; give data.root=... or data.expected_train=N.")
    elif not told.hardware and any(row.seconds is None for row in rows):
        notes.append(
            f"No time: no like run on this machine ({place}); give images_per_second=N, or train one run for an epoch."
        )
    return notes
