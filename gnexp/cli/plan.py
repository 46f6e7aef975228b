"""gnexp plan: what a sweep would cost; starts nothing."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gnexp.cli.costs import Part, Told, describe, name_of
from gnexp.compose.composer import Composer
from gnexp.compose.foreign import dropped_notes
from gnexp.compose.hardware import load_hardware
from gnexp.compose.overrides import check, parse, question, values_of
from gnexp.config import to_dict
from gnexp.config.experiment import Cell, Expansion
from gnexp.config.keys import DEFAULT_EXPERIMENT
from gnexp.launch.launch import start_job
from gnexp.sweep.plan import PlannedRun, make_plan
from gnexp.system.exit_codes import EXIT_DONE, EXIT_FAILED

_SPEED, _HARDWARE, _PRICE = "images_per_second", "hardware", "price"


def main(words: list[str]) -> int:
    """Prints the plan; returns the exit code."""
    own, directories, overrides = _split(words)
    speed, price = (_positive(key, own[key]) if key in own else None for key in (_SPEED, _PRICE))
    hardware = load_hardware(own[_HARDWARE], directories) if _HARDWARE in own else None
    if hardware and speed:
        raise ValueError(f"{_HARDWARE}= and {_SPEED}= both say how fast it goes: leave one of them out")
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
    print(describe(parts, plan, counted, Told(speed, hardware, price), (runs_dir, results_dir)))
    return EXIT_DONE


def _parts(expansions: Sequence[Expansion], plan: Sequence[PlannedRun]) -> list[Part]:
    """A table an experiment; what others start from stands first, in a table of its own where there are several."""
    parents = _parents(expansions, plan)
    parts = [
        Part(
            (f"{e.experiment}, scale {e.scale}", *filter(None, [e.question])),
            (*(parents if len(expansions) == 1 else ()), *(cell for cell in e.cells if cell.runs)),
        )
        for e in expansions
    ]
    if parents and len(expansions) > 1:
        parts.insert(0, Part(("what some of them start from",), tuple(parents)))
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


def _split(words: Sequence[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """The plan's own settings by key, the directories of --config-dir, and the overrides."""
    own: dict[str, str] = {}
    directories: list[str] = []
    overrides: list[str] = []
    rest = iter(words)
    for word in rest:
        key, equals, value = word.partition("=")
        if key == "--config-dir":
            directories.append(value if equals else next(rest, ""))
        elif key in (_SPEED, _HARDWARE, _PRICE):
            own[key] = value
        else:
            overrides.append(word)
    return own, directories, overrides


def _positive(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{key} must be a positive number, got {value!r}")
    return number


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
            raise ValueError(f"{name_of(cell)}: {found['error']}")
    return counted
