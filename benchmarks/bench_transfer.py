"""What does a step of the small scale's detectors and video networks cost, and where in it does the time go?

    gnexp bench transfer [--rounds 7] [--steps 4] [--beside DIR] [--profile]

Steps of Tables 4, 6 and 8 as they are trained, from random weights and at a learning rate that leaves them there, so
that every round computes the same. A process of one thread holds all of them; with --beside another one holds those of
another working tree of gnexp, and each cell's burst of the one is followed by its burst of the other. Milliseconds are
of processor time; ratios are medians over rounds of (the other tree's / this one's). --profile says which operators the
time of a step is in, instead. The last line is JSON.
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

from bench_loader import processor
from transfer_steps import CELLS

from gnexp.system.commit import commit

HERE = Path(__file__).resolve().parents[1]
SERVER = Path(__file__).with_name("transfer_steps.py")


class Child:
    """A process that holds the cells of one tree."""

    def __init__(self, tree: Path, root: str) -> None:
        path = os.pathsep.join([str(tree), str(HERE / "benchmarks")])
        env = {
            **os.environ,
            "PYTHONPATH": path,
            "KINETO_LOG_LEVEL": "5",
        }  # the profiler tells each start and stop
        command = [sys.executable, str(SERVER), root]
        self.process = subprocess.Popen(
            command, cwd=tree, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, name: str, num: int, *, is_profiled: bool = False) -> object:
        """The seconds of a step, or its shares.

        Raises:
            SystemExit: the child has ended; what it said stands on standard error.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps([name, num, is_profiled]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{name}: the process that trains it ended with {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """Lets it end."""
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()


def measure(
    children: Mapping[str, Child], cells: Sequence[str], rounds: int, num: int
) -> list[dict[str, object]]:
    """Interleaved bursts of `num` steps; one row a cell, its times in milliseconds."""
    times: dict[str, dict[str, list[float]]] = {cell: {tree: [] for tree in children} for cell in cells}
    for round_ in range(rounds + 1):
        for cell in cells:
            for tree, child in children.items():
                seconds = child.ask(cell, num)
                assert isinstance(seconds, float)
                if round_ > 0:  # the first round pays for the machine's caches
                    times[cell][tree].append(1e3 * seconds)
    rows: list[dict[str, object]] = []
    for cell, found in times.items():
        row: dict[str, object] = {"cell": cell}
        for tree, values in found.items():
            low, median, high = min(values), statistics.median(values), max(values)
            row |= {
                f"{tree}_ms": round(median, 1),
                f"{tree}_low": round(low, 1),
                f"{tree}_high": round(high, 1),
            }
        if "beside" in found:
            ratios = sorted(a / b for a, b in zip(found["beside"], found["here"], strict=True))
            row["ratio"] = round(statistics.median(ratios), 2)
            row |= {"ratio_low": round(ratios[0], 2), "ratio_high": round(ratios[-1], 2)}
        rows.append(row)
    return rows


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
        if options.profile:
            rows = profiled(children, options.cells, options.steps)
        else:
            rows = measure(children, options.cells, options.rounds, options.steps)
    print_table(rows)
    report = {"bench": "transfer", "rounds": options.rounds, "steps": options.steps, "machine": processor()}
    print(json.dumps({**report, **commit(), "rows": rows}))


def profiled(children: Mapping[str, Child], cells: Sequence[str], num: int) -> list[dict[str, object]]:
    """One row a tree and cell: the shares of its step."""
    rows: list[dict[str, object]] = []
    for cell in cells:
        for tree, child in children.items():
            child.ask(cell, num)  # not the first steps
            shares = child.ask(cell, num, is_profiled=True)
            assert isinstance(shares, dict)
            rows.append({"cell": cell, "tree": tree, **shares})
    return rows


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
