"""What does a step of the small scale's detectors and video networks cost, and where in it does the time go?

    gnexp bench transfer [--rounds 7] [--steps 4] [--beside DIR] [--profile]

The networks and batches of Tables 4, 6 and 8, from random weights and at a learning rate that leaves them there, from
the second pass over the data on. A process of one thread holds all of them; with --beside another one holds those of
another working tree of gnexp, which must compose the same runs, and bursts of the two take turns. Milliseconds are of
processor time; ratios are medians over rounds of (the other tree's / this one's). --profile says instead which
operators take the time that is in operators, by the wall clock. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench_loader import processor
from transfer_steps import CELLS

from gnexp.system.commit import commit

HERE = Path(__file__).resolve().parents[1]
SERVER = Path(__file__).with_name("transfer_steps.py")


class Child:
    """A process that holds the cells of one tree."""

    def __init__(self, tree: Path, root: str) -> None:
        path = os.pathsep.join([str(tree), str(HERE / "benchmarks")])
        quiet = {"KINETO_LOG_LEVEL": "5"}  # else the profiler prints each start and stop
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), root],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": path, **quiet},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, cell: str) -> str:
        """Builds a cell and takes its first steps; returns its run's id."""
        return str(self._ask(cell, 0, is_profiled=False))

    def seconds(self, cell: str, num: int) -> float:
        """Processor time of a step, of `num` steps."""
        return float(self._ask(cell, num, is_profiled=False))

    def shares(self, cell: str, num: int) -> dict[str, float]:
        """Which operators take the time that is in operators, of `num` steps."""
        return dict(self._ask(cell, num, is_profiled=True))

    def _ask(self, cell: str, num: int, *, is_profiled: bool) -> Any:
        """Raises SystemExit where the child has ended; what it said stands on standard error."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps([cell, num, is_profiled]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{cell}: the process that trains it ended with {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """Lets it end."""
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()


def start(children: Mapping[str, Child], cells: Sequence[str]) -> None:
    """Builds every cell in every tree.

    Raises:
        SystemExit: a cell is another run in the other tree, so that no ratio is reported.
    """
    for cell in cells:
        ids = {tree: child.start(cell) for tree, child in children.items()}
        if len(set(ids.values())) > 1:
            raise SystemExit(f"{cell} is the run {ids['here']} here and {ids['beside']} in the other tree")


def measure(
    children: Mapping[str, Child], cells: Sequence[str], rounds: int, num: int
) -> list[dict[str, object]]:
    """Interleaved bursts of `num` steps; one row a cell, its times in milliseconds."""
    times: dict[str, dict[str, list[float]]] = {cell: {tree: [] for tree in children} for cell in cells}
    for round_ in range(rounds):
        trees = list(children) if round_ % 2 else list(children)[::-1]  # who comes after whom must not matter
        for cell in cells:
            for tree in trees:
                times[cell][tree].append(1e3 * children[tree].seconds(cell, num))
    rows: list[dict[str, object]] = []
    for cell, found in times.items():
        row: dict[str, object] = {"cell": cell}
        for tree, values in found.items():
            row |= _spread(f"{tree}_ms", values, digits=1)
        if "beside" in found:
            ratios = [a / b for a, b in zip(found["beside"], found["here"], strict=True)]
            row |= _spread("ratio", ratios, digits=2)
        rows.append(row)
    return rows


def _spread(name: str, values: Sequence[float], digits: int) -> dict[str, float]:
    found = {"": statistics.median(values), "_low": min(values), "_high": max(values)}
    return {f"{name}{end}": round(value, digits) for end, value in found.items()}


def main() -> None:
    """Measures all cells and prints the table and the JSON line."""
    parser = argparse.ArgumentParser(prog="gnexp bench transfer", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="of each burst")
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS), metavar="CELL")
    parser.add_argument(
        "--beside", type=Path, help="another working tree of gnexp, such as of an older commit"
    )
    parser.add_argument("--profile", action="store_true", help="the operators of a step instead of its time")
    options = parser.parse_args()
    if min(options.rounds, options.steps) < 1:
        parser.error("--rounds and --steps must be at least 1")
    if options.beside is not None and not (options.beside / "gnexp").is_dir():
        parser.error(f"--beside must be a working tree of gnexp, got {options.beside}, which has no gnexp/")
    trees = {"here": HERE} | ({"beside": options.beside.resolve()} if options.beside else {})
    with contextlib.ExitStack() as stack:
        children = {}
        for name, tree in trees.items():
            root = stack.enter_context(tempfile.TemporaryDirectory())
            children[name] = Child(tree, root)
            stack.callback(children[name].close)
        start(children, options.cells)
        if options.profile:
            rows = profiled(children, options.cells, options.steps)
        else:
            rows = measure(children, options.cells, options.rounds, options.steps)
    print_table(rows)
    report = {"bench": "transfer", "rounds": options.rounds, "steps": options.steps, "machine": processor()}
    print(json.dumps({**report, **commit(), "beside": _head(options.beside), "rows": rows}))


def _head(tree: Path | None) -> str | None:
    """The commit that another tree is at; None where there is no other, or it is no checkout."""
    if tree is None:
        return None
    done = subprocess.run(["git", "-C", str(tree), "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or None


def profiled(children: Mapping[str, Child], cells: Sequence[str], num: int) -> list[dict[str, object]]:
    """One row a tree and cell: the shares of its steps."""
    return [
        {"cell": cell, "tree": tree, **child.shares(cell, num)}
        for cell in cells
        for tree, child in children.items()
    ]


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """A column a key, a line a row."""
    widths = [max(len(key), *(len(str(row[key])) for row in rows)) + 2 for key in rows[0]]
    for line in (rows[0], *(row.values() for row in rows)):
        print("".join(f"{cell!s:>{width}}" for cell, width in zip(line, widths, strict=True)))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
