"""How should two cores train many small runs? Images per second of the small scale's training step.

    python benchmarks/bench_throughput.py [--seconds 2] [--rounds 3]

Interleaved in one run: one process with all threads, against as many processes side by side as there are cores, with
one thread each; and contiguous against channels_last tensors with one thread. Prints a table and, last, one JSON line.
No speed is printed unless both layouts give the same loss first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from typing import Any

CELLS = [("bn", 32), ("bn", 2), ("gn", 32), ("gn", 2)]


def measure(norm: str, batch: int, threads: int, memory_format: str, seconds: float) -> tuple[float, float]:
    """Images per second over about `seconds` of training steps, and the first step's loss."""
    import torch

    torch.set_num_threads(threads)
    from gnexp.compose.composer import Composer
    from gnexp.engine.state import build
    from gnexp.engine.train import StepRecord, train

    overrides = [f"norm={norm}", f"batch={batch}", f"memory_format={memory_format}"]
    run = Composer().run([*overrides, "data.num_train=4096", "data.num_val=10", "data.sha256=null"])
    state = build(run, torch.device("cpu"))
    steps = (record for record in train(state) if isinstance(record, StepRecord))
    first = next(steps)
    for _ in range(4):  # the first steps pay for memory and kernels
        next(steps)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(steps)
        done += 1
    return done * run.total_batch / (time.perf_counter() - start), first.loss


def _child(arguments: tuple[Any, ...]) -> tuple[float, float]:
    return measure(*arguments)


def run_side_by_side(num: int, *arguments: Any) -> tuple[float, float]:
    """Total images per second of `num` fresh processes at once, and the loss they agree on."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(num) as pool:
        found = pool.map(_child, [arguments] * num, chunksize=1)
    return sum(speed for speed, _ in found), found[0][1]


def main() -> None:
    """Measures all cells, interleaved, and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    modes = {
        "side by side": (cores, 1, "contiguous"),
        "all threads": (1, cores, "contiguous"),
        "one, contiguous": (1, 1, "contiguous"),
        "one, channels_last": (1, 1, "channels_last"),
    }
    speeds: dict[tuple[str, int, str], list[float]] = {}
    for _ in range(options.rounds):
        for norm, batch in CELLS:
            losses = []
            for mode, (processes, threads, memory_format) in modes.items():
                speed, loss = run_side_by_side(
                    processes, norm, batch, threads, memory_format, options.seconds
                )
                speeds.setdefault((norm, batch, mode), []).append(speed)
                losses.append(loss)
            if max(losses) - min(losses) > 1e-4:
                raise SystemExit(f"{norm} at {batch}: the modes disagree about the first loss: {losses}")
    rows = []
    print(f"images per second, median of {options.rounds}; {cores} cores")
    print(f"{'cell':8}" + "".join(f"{mode:>20}" for mode in modes) + f"{'side/all':>10}{'last/contig':>13}")
    for norm, batch in CELLS:
        median = {mode: statistics.median(speeds[norm, batch, mode]) for mode in modes}
        side = median["side by side"] / median["all threads"]
        layout = median["one, channels_last"] / median["one, contiguous"]
        print(
            f"{norm + ' ' + str(batch):8}"
            + "".join(f"{v:20.0f}" for v in median.values())
            + f"{side:10.2f}{layout:13.2f}"
        )
        speed = {mode: round(value) for mode, value in median.items()}
        ratios = {"side_over_all": round(side, 3), "last_over_contiguous": round(layout, 3)}
        rows.append({"norm": norm, "batch": batch, **ratios, **speed})
    print(json.dumps({"bench": "throughput", "cores": cores, "rounds": options.rounds, "rows": rows}))


if __name__ == "__main__":
    main()
