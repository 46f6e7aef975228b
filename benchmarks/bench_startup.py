"""How long does a person wait for the parent process? Seconds of `gnexp --help`, `--cfg job` and a dry run.

    python benchmarks/bench_startup.py [--rounds 7]

The commands are interleaved; `python -c pass` and `python -c "import torch"` stand beside them, as what no command can
be quicker than and as what the parent would pay if it imported torch. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "gnexp --help": ["-m", "gnexp", "--help"],
    "gnexp train --cfg job": ["-m", "gnexp", "train", "--cfg", "job"],
    "gnexp sweep dry_run=true": ["-m", "gnexp", "sweep", "dry_run=true"],
    "python -c 'import torch'": ["-c", "import torch"],
}


def main() -> None:
    """Runs every command in turn and prints the median and the range of its wall time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.rounds):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    rows = {}
    for name, values in seconds.items():
        rows[name] = round(statistics.median(values), 3)
        print(f"{name:28} {rows[name]:6.2f} s  ({min(values):.2f} to {max(values):.2f}, n={len(values)})")
    print(json.dumps({"bench": "startup", "rounds": options.rounds, "seconds": rows}))


if __name__ == "__main__":
    main()
