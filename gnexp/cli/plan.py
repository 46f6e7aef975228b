"""gnexp plan: what a sweep would cost; starts nothing."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.compose.composer import Composer
from gnexp.compose.foreign import dropped_notes
from gnexp.compose.overrides import check, parse, question, values_of
from gnexp.config import to_dict
from gnexp.config.experiment import Cell, Expansion
from gnexp.config.keys import DEFAULT_EXPERIMENT
from gnexp.config.words import duration
from gnexp.launch.launch import start_job
from gnexp.runs.throughput import Speeds, choose_speed, read_speeds
from gnexp.sweep.plan import PENDING, PlannedRun, make_plan, summary
from gnexp.system.exit_codes import EXIT_DONE, EXIT_FAILED

_SPEED = "images_per_second"
_HEADS = ("runs", "to do", "steps a run", "images a run", "parameters", "GMACs", "train FLOPs", "time a run")


@dataclass(frozen=True)
class _Row:
    """A cell and what one of its runs costs; None is not known."""

    cell: Cell
    num_todo: int
    parameters: int
    macs: int  # of one image's forward pass
    steps: int | None
    images: int | None
    seconds: float | None
    is_rough: bool  # the seconds are those of runs less alike

    @property
    def flops(self) -> float | None:
        """Of training: three forward passes, a multiply-add counted as two."""
        return None if self.images is None else 6.0 * self.macs * self.images


def main(words: list[str]) -> int:
    """Prints the plan; returns the exit code."""
    speed, directories, overrides = _split(words)
    given = {override.key_or_group: values_of(override) for override in parse(overrides)}
    composer = Composer([*directories, *map(str, (given.get("hydra.searchpath") or [[]])[0])])
    check(overrides, composer.options, sweep=True)
    if "experiment" not in given:
        overrides = [f"experiment={DEFAULT_EXPERIMENT}", *overrides]
    expansions = composer.expansions(*question(overrides), overrides, seeds=_seeds(given))
    for note in (*dropped_notes(expansions), *composer.notes(overrides)):
        print(f"note: {note}", file=sys.stderr)
    runs_dir, results_dir = (Path(str(given.get(f"{d}_dir", [d])[0])) for d in ("runs", "results"))
    plan = make_plan(expansions, runs_dir, results_dir)
    parts = _parts(expansions, plan)
    counted = _count([cell for part in parts for cell in part.cells])
    if counted is None:
        return EXIT_FAILED  # the child has said why
    print(_describe(parts, plan, counted, speed, (runs_dir, results_dir)))
    return EXIT_DONE


@dataclass(frozen=True)
class _Part:
    """Cells that stand in one table."""

    heading: tuple[str, ...]
    cells: tuple[Cell, ...]


def _parts(expansions: Sequence[Expansion], plan: Sequence[PlannedRun]) -> list[_Part]:
    """A table an experiment; what others start from stands first, in a table of its own where there are several."""
    parents = _parents(expansions, plan)
    parts = [
        _Part(
            (f"{e.experiment}, scale {e.scale}", *filter(None, [e.question])),
            (*(parents if len(expansions) == 1 else ()), *(cell for cell in e.cells if cell.runs)),
        )
        for e in expansions
    ]
    if parents and len(expansions) > 1:
        parts.insert(0, _Part(("what some of them start from",), tuple(parents)))
    return parts


def _parents(expansions: Sequence[Expansion], plan: Sequence[PlannedRun]) -> list[Cell]:
    """The cells of which others start, where no cell of the expansions is one; their seeds together."""
    own = {run.run_id for expansion in expansions for cell in expansion.cells for run in cell.runs}
    found: dict[tuple[str, ...], Cell] = {}
    for item in plan:
        if item.run.run_id not in own:
            before = found.get(item.cell.overrides)
            runs = (*(before.runs if before else ()), item.run)
            found[item.cell.overrides] = dataclasses.replace(item.cell, runs=runs)
    return list(found.values())


def _split(words: Sequence[str]) -> tuple[float | None, list[str], list[str]]:
    """images_per_second, the directories of --config-dir, and the overrides."""
    speed: float | None = None
    directories: list[str] = []
    overrides: list[str] = []
    rest = iter(words)
    for word in rest:
        key, equals, value = word.partition("=")
        if key == "--config-dir":
            directories.append(value if equals else next(rest, ""))
        elif key == _SPEED:
            try:
                speed = float(value)
            except ValueError:
                speed = math.nan
            if not 0 < speed < math.inf:
                raise ValueError(f"{_SPEED} must be a positive number, got {value!r}")
        else:
            overrides.append(word)
    return speed, directories, overrides


def _seeds(given: Mapping[str, list[Any]]) -> int | None:
    seeds = given.get("seeds", [None])[0]
    if seeds is not None and not isinstance(seeds, int):
        raise ValueError(f"seeds must be a number of seeds, got {seeds}")
    return seeds


def _count(cells: Sequence[Cell]) -> dict[str, Any] | None:
    """What gnexp.launch.jobs.plan says of each cell; None where it failed.

    Raises:
        ValueError: a cell that cannot be built.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.json"
        path.write_text(json.dumps([to_dict(cell.runs[0]) for cell in cells]), encoding="utf-8")
        ended = start_job(["plan", str(path)], dict(os.environ), stdout=subprocess.PIPE)
    if ended.exit_code != EXIT_DONE:
        return None
    counted: dict[str, Any] = json.loads(ended.out)
    for cell, found in zip(cells, counted["cells"], strict=True):
        if "error" in found:
            raise ValueError(f"{_name(cell)}: {found['error']}")
    return counted


def _describe(
    parts: Sequence[_Part],
    plan: Sequence[PlannedRun],
    counted: Mapping[str, Any],
    speed: float | None,
    places: tuple[Path, Path],
) -> str:
    machine = counted["machine"]
    speeds = [] if speed else read_speeds(*places)
    todo = {item.run.run_id for item in plan if item.state == PENDING}
    found = iter(counted["cells"])
    lines: list[str] = []
    rows: list[_Row] = []
    for part in parts:
        own = []
        for cell, cost in zip(part.cells, found, strict=False):  # the next part goes on in what was counted
            known = None if speed else choose_speed(cell.runs[0], machine, speeds)
            own.append(_row(cell, cost, todo, known, speed))
        ids = {run.run_id for cell in part.cells for run in cell.runs}
        total = _totals(own, [item for item in plan if item.run.run_id in ids])
        lines += [*part.heading, "", *_aligned([("cell", *_HEADS), *map(_shown, own)]), "", total]
        lines += [""] * (len(parts) > 1)
        rows += own
    if len(parts) > 1:
        lines.append(f"all of them, each run once: {_totals(rows, plan)}")
    return "\n".join([*lines, *_notes(rows, speed, machine)])


def _row(
    cell: Cell, cost: Mapping[str, Any], todo: Set[str], known: Speeds | None, given: float | None
) -> _Row:
    run, size = cell.runs[0], cost["num_train"]
    per_epoch = run.recipe.epoch_steps or (None if size is None else size // run.total_batch)
    steps = None if per_epoch is None else per_epoch * run.recipe.epochs
    images = None if steps is None else steps * run.total_batch
    per_second = given or (known.images_per_second if known else None)
    return _Row(
        cell,
        num_todo=len({run.run_id for run in cell.runs} & todo),
        parameters=cost["parameters"],
        macs=cost["macs"],
        steps=steps,
        images=images,
        seconds=images / per_second if images is not None and per_second else None,
        is_rough=known is not None and not known.is_alike,
    )


def _shown(row: _Row) -> tuple[str, ...]:
    return (
        _name(row.cell),
        str(len(row.cell.runs)),
        str(row.num_todo),
        "-" if row.steps is None else f"{row.steps:,}",
        "-" if row.images is None else f"{row.images:,}",
        f"{row.parameters:,}",
        f"{row.macs / 1e9:.3g}",
        "-" if row.flops is None else f"{row.flops:.2e}",
        "-" if row.seconds is None else "~" * row.is_rough + duration(row.seconds),
    )


def _name(cell: Cell) -> str:
    words = (str(v) if k == "norm" else f"{k}={v}" for k, v in cell.coordinates.items())
    return " ".join(words) or "(one cell)"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if index == 0 else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]


def _totals(rows: Sequence[_Row], plan: Sequence[PlannedRun]) -> str:
    """Each run once: two cells can be one run, which is the first one's."""
    by_run = {run.run_id: row for row in reversed(rows) for run in row.cell.runs}
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
    return ", ".join(parts)


def _notes(rows: Sequence[_Row], speed: float | None, machine: Mapping[str, Any]) -> list[str]:
    notes = [
        "GMACs: billions of multiply-adds of one image's forward pass, as torchvision counts its GFLOPS.",
        "Of a detector that is a square image with as many RoIs as training takes at most, of video a clip.",
        "train FLOPs: an estimate, 3 forward passes an image, a multiply-add counted as 2; without evaluation.",
    ]
    place = machine["device"] if machine["device"] != "cpu" else machine["processor"]
    if speed:
        notes.append(f"Time: at {speed:g} images per second, as given.")
    elif any(row.seconds is not None for row in rows):
        rough = "; ~ of runs in other batches or on other data" if any(row.is_rough for row in rows) else ""
        notes.append(f"Time: evaluation included, from like runs on this machine ({place}){rough}.")
    if any(row.images is None for row in rows):
        notes.append("No images: the folder is not here; give data.root=... or data.expected_train=N.")
    elif any(row.seconds is None for row in rows):
        notes.append(
            f"No time: no like run on this machine ({place}); give {_SPEED}=N, or train one run for an epoch."
        )
    return notes
