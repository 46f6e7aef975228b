"""How fast is the GN op, against what torchvision's ResNet does with GroupNorm and with BatchNorm?

    gnexp bench ops [--rounds 15] [--threads 1 2] [--burst 0.02] [--save]

On a GPU: benchmarks/ops_gpu.py, which `make gpu` runs too. Without one, and it is said so: GN+ReLU and GN+add+ReLU,
forward and backward, in float32 on the CPU, on the shapes of ResNet-50 at 8 images, of a video, of one group and of the
small scale's network at total batches of 8 and 128; then the byte model of a GPU (benchmarks/ops_model.py).
Torchvision's way is a norm module, `out += identity`, and ReLU in place; gnexp's is a module that calls the op. One
process, interleaved in alternating order; ratios are medians over rounds, with quartiles. Before a row is timed, output
and all gradients of every column must be float64's; a row where they are not says so instead, and the exit code is 1.
glibc is told to keep freed memory, on all sides: fetching it anew from the system costs more than the norms do, and
hits one side or the other by chance.
Prints a table and, last, one JSON line; --save writes that to results/bench/.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import ops_gpu
import torch
from ops_model import model, print_model
from ops_rows import (
    Case,
    OpNorm,
    Row,
    interleaved,
    plain_batch_norm,
    plain_group_norm,
    resnet50_rows,
    small_rows,
    spread,
    step_times,
)

from gnexp.config import RunConfig
from gnexp.engine.device import describe
from gnexp.system.commit import commit
from gnexp.system.files import write_json

CPU = torch.device("cpu")
BATCH = 32  # of the GPU's rows
RESULTS = Path(__file__).resolve().parents[1] / "results" / "bench"
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_MMAP_THRESHOLD_": str(1 << 40)}

CpuRow = dict[str, Any]


def measure_cpu(row: Row, threads: list[int], rounds: int, burst: float) -> list[CpuRow]:
    """One row for each number of threads."""
    case = Case(row, CPU)
    channels = row.shape[1]
    ways = {
        "gnexp": case.load(OpNorm(channels, row.groups)),
        "gn": case.load(plain_group_norm(channels, row.groups)),
        "bn": case.load(plain_batch_norm(len(row.shape), channels)),
    }
    found: list[CpuRow] = []
    for count in threads:
        torch.set_num_threads(count)
        common: CpuRow = {
            "rows": row.name, "op": row.op, "shape": list(row.shape), "groups": row.groups, "threads": count,
        }  # fmt: skip
        faults = {name: case.wrong(norm, is_batch=name == "bn") for name, norm in ways.items()}
        if any(faults.values()):
            found.append(
                common | {"wrong": "; ".join(f"{n}'s {fault}" for n, fault in faults.items() if fault)}
            )
            continue
        start = time.perf_counter()
        step_times(ways["gnexp"], case, 3)
        repeats = max(1, round(3 * burst / (time.perf_counter() - start)))
        parts: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}

        def call(name: str, repeats: int = repeats, parts: dict[str, Any] = parts) -> float:
            parts[name].append(step_times(ways[name], case, repeats))
            return sum(parts[name][-1])

        times = interleaved({name: lambda name=name: call(name) for name in ways}, rounds)
        for name in ways:
            common[f"{name}_ms"] = round(1e3 * statistics.median(times[name]), 3)
        for name in ("gn", "bn"):
            pairs = list(zip(times[name], times["gnexp"], strict=True))
            common[f"{name}_ratio"] = spread([theirs / ours for theirs, ours in pairs])
        for index, part in enumerate(("forward", "backward")):
            both = zip(parts["gn"][1:], parts["gnexp"][1:], strict=True)
            common[f"{part}_ratio"] = spread([theirs[index] / ours[index] for theirs, ours in both])
            common[f"{part}_ms"] = round(1e3 * statistics.median(p[index] for p in parts["gnexp"][1:]), 3)
        found.append(common | {"n": rounds})
    return found


def print_cpu_row(row: CpuRow) -> None:
    """One line of the table."""
    shape = "x".join(str(size) for size in row["shape"])
    line = f"{row['op']:13}{shape:>17}{row['groups']:>4}{row['threads']:>4}"
    if "wrong" in row:
        print(f"{line}  WRONG: {row['wrong']}", flush=True)
        return
    ratio = row["gn_ratio"]
    quartiles = f"{ratio['low']:.2f}-{ratio['high']:.2f}"
    print(
        f"{line}{row['gnexp_ms']:>10}{row['gn_ms']:>10}{ratio['median']:>8.2f}{quartiles:>12}"
        f"{row['forward_ratio']['median']:>9.2f}{row['backward_ratio']['median']:>10.2f}"
        f"{row['bn_ms']:>10}{row['bn_ratio']['median']:>8.2f}",
        flush=True,
    )


def cpu_rows(rows: list[Row], options: argparse.Namespace) -> list[CpuRow]:
    """Measures and prints the CPU's rows, and what they come to."""
    print(
        f"ms of forward and backward, float32; medians of {options.rounds} rounds; "
        "ratios are torchvision's time / gnexp's, the first with its quartiles"
    )
    print(
        f"{'op':13}{'shape':>17}{'G':>4}{'thr':>4}{'gnexp':>10}{'GN':>10}{'ratio':>8}{'quartiles':>12}"
        f"{'forward':>9}{'backward':>10}{'BN':>10}{'ratio':>8}"
    )
    found: list[CpuRow] = []
    for row in rows:
        for result in measure_cpu(row, options.threads, options.rounds, options.burst):
            print_cpu_row(result)
            found.append(result)
    for name in [*sorted({row["rows"] for row in found}), "all"]:
        ratios = [
            row["gn_ratio"]["median"] for row in found if "wrong" not in row and name in ("all", row["rows"])
        ]
        if ratios:
            print(
                f"{name}: median ratio {statistics.median(ratios):.2f}, "
                f"lowest {min(ratios):.2f}, of {len(ratios)}"
            )
    return found


def keep_freed_memory() -> None:
    """Starts this program again with glibc told to keep what is freed, unless it has been told something."""
    if not any(name in os.environ for name in KEEP_MEMORY):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP_MEMORY})


def main() -> int:
    """Measures what this machine allows and prints the table and the JSON line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="gnexp bench ops", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="on a GPU repeats, at least 20")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of the CPU's rows")
    parser.add_argument("--burst", type=float, default=0.02, help="seconds that a CPU side runs at a time")
    parser.add_argument("--save", action="store_true", help="write the rows to results/bench/")
    options = parser.parse_args()
    if min(options.rounds, *options.threads) < 1:
        parser.error("--rounds and --threads must be at least 1")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result: dict[str, Any] = {"bench": "ops", **describe(RunConfig(), device, commit())}
    if device.type == "cuda":
        rows = list(ops_gpu.rows(device, max(20, options.rounds), resnet50_rows(BATCH)))
    else:
        keep_freed_memory()
        result["load"] = round(
            os.getloadavg()[0], 2
        )  # of 1 minute; a thread that waits for a core holds all up
        print(
            f"no GPU here: the CPU's rows, then a model of the GPU's; load {result['load']}, {os.cpu_count()} cores"
        )
        rows = cpu_rows(resnet50_rows(8) + small_rows(8) + small_rows(128), options)
        print_model()
        result["model_not_measured"] = model()
    result["rows"] = rows
    if options.save:
        name = result["device"].lower().replace(" ", "-")
        write_json(RESULTS / f"ops-{name}.json", result)
    print(json.dumps(result))
    return int(any("wrong" in row for row in rows))


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    raise SystemExit(code)
