"""How long does a person wait for the parent process? Commands that train nothing, and the composing in them.

    python benchmarks/bench_startup.py [--rounds 7] [--beside DIR]

The commands are interleaved; `python -c pass` and `python -c "import torch"` stand beside them, as what no command can
be quicker than and as what the parent would pay if it imported torch. Of each the wall time and the processor time of
the command and what it starts. Then the processor time of composing: a cell, of every experiment at every scale, and
all that `gnexp report` expands. With --beside another working tree of gnexp does the same in turn. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "gnexp --help": ["-m", "gnexp", "--help"],
    "gnexp train --cfg job": ["-m", "gnexp", "train", "--cfg", "job"],
    "gnexp sweep dry_run=true": ["-m", "gnexp", "sweep", "dry_run=true"],
    "gnexp sweep experiment=all": ["-m", "gnexp", "sweep", "experiment=all", "dry_run=true"],
    "python -c 'import torch'": ["-c", "import torch"],
}
_CELLS = """
import time
from gnexp.compose.composer import Composer
composer, start = Composer(), time.process_time()
found = [e for scale in ("paper", "small", "demo", "smoke") for e in composer.expansions("all", scale)]
print((time.process_time() - start) / sum(len(e.cells) for e in found))
"""
_REPORT = """
import time
from pathlib import Path
from gnexp import report
from gnexp.compose import composer, exhibits
seconds = []
def expand(*arguments, **keywords):
    start = time.process_time()
    try:
        return composer.expand(*arguments, **keywords)
    finally:
        seconds.append(time.process_time() - start)
report.check(exhibits.load_exhibits(), expand, results_dir=Path("results"), stale=exhibits.load_stale())
print(sum(seconds))
"""
COMPOSING = {
    "composing a cell": _CELLS,
    "what gnexp report expands": _REPORT,
}  # each prints processor seconds


def main() -> None:
    """Runs every command in turn and prints the median and the range of its times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--beside", type=Path, help="another working tree of gnexp, such as of an older commit"
    )
    options = parser.parse_args()
    trees = {"": HERE} | ({"beside: ": options.beside.resolve()} if options.beside else {})
    wall: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, arguments in COMMANDS.items():
            for head, tree in trees.items():
                seconds = _run(arguments, tree)
                wall.setdefault(head + name, []).append(seconds[0])
                processor.setdefault(head + name, []).append(seconds[1])
        for name, code in COMPOSING.items():
            for head, tree in trees.items():
                done = subprocess.run(
                    [sys.executable, "-c", code], check=True, cwd=tree, env=_env(tree), capture_output=True
                )
                processor.setdefault(head + name, []).append(float(done.stdout))
    rows = {"wall": _print("wall time", wall), "processor": _print("processor time", processor)}
    print(json.dumps({"bench": "startup", "rounds": options.rounds, "seconds": rows}))


def _run(arguments: Sequence[str], tree: Path) -> tuple[float, float]:
    """Wall and processor seconds of a command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, cwd=tree, env=_env(tree), stdout=subprocess.DEVNULL)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _env(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree)}


def _print(title: str, seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """A row a name; returns the medians, in seconds."""
    print(title)
    medians = {}
    for name, values in seconds.items():
        medians[name] = round(statistics.median(values), 4)
        unit, factor = ("ms", 1000) if medians[name] < 0.1 else ("s ", 1)
        low, middle, high = (factor * value for value in (min(values), medians[name], max(values)))
        print(f"  {name:40} {middle:6.2f} {unit}  ({low:.2f} to {high:.2f}, n={len(values)})")
    return medians


if __name__ == "__main__":
    main()
