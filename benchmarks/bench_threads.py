"""What do waiting threads cost a run, alone and beside a busy neighbour? Seconds of a thin detector's training steps.

    gnexp bench threads [--steps 10] [--rounds 5] [--threads CORES] [--neighbour both|with|without]

OpenMP's threads spin while they wait for work, which is quickest where nobody else wants the core they spin on. One row
a setting: one thread; as OpenMP has it; and the variables that ask for sleep. Each measurement is a process of its own,
since OpenMP reads them when it is loaded; the settings are interleaved in a rotating order, without and with a
neighbour that keeps every core busy. No table is printed unless all runs of a number of threads have the same losses.
Ratios are to "as it is", round by round. The last line is JSON.
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
import time
from collections.abc import Iterator

from gnexp.system.hardware import num_cores

AS_IT_IS = "as it is"
# OMP_WAIT_POLICY is OpenMP's own word, the others are libgomp's (torch's wheels) and Intel's.
SETTINGS: dict[str, dict[str, str]] = {
    "one thread": {},
    AS_IT_IS: {},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
    "KMP_BLOCKTIME=0": {"KMP_BLOCKTIME": "0"},
}
_NEIGHBOUR = {"both": (False, True), "with": (True,), "without": (False,)}
_UNSET = {name for setting in SETTINGS.values() for name in setting}
WARM_UP = 2  # steps that pay for memory and kernels
RUN = ("experiment=coco_c4", "scale=smoke", "norm=gn", "device=cpu", "data.num_train=80")


def measure(num_steps: int, threads: int, root: str) -> tuple[float, list[float]]:
    """Seconds of so many steps of training, and their losses."""
    import torch

    from gnexp.compose.composer import Composer
    from gnexp.engine.state import build
    from gnexp.engine.train import StepRecord, train

    torch.set_num_threads(threads)
    steps_needed = [f"recipe.epoch_steps={WARM_UP + num_steps}", "recipe.epochs=2", "data.sha256=null"]
    composer = Composer()
    run = composer.run(composer.flatten([*RUN, f"data.root={root}", *steps_needed]))
    steps = (record for record in train(build(run, torch.device("cpu"))) if isinstance(record, StepRecord))
    losses = [next(steps).loss for _ in range(WARM_UP)]
    start = time.perf_counter()
    losses += [next(steps).loss for _ in range(num_steps)]
    return time.perf_counter() - start, losses


def measure_apart(setting: str, num_steps: int, threads: int, root: str) -> tuple[float, list[float]]:
    """The same in a process of its own, under a setting."""
    threads = 1 if setting == "one thread" else threads
    environment = {name: value for name, value in os.environ.items() if name not in _UNSET}
    environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(num_steps), str(threads), root],
        env=environment | SETTINGS[setting],
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds, losses = json.loads(done.stdout.splitlines()[-1])
    return seconds, losses


@contextlib.contextmanager
def neighbour(num: int) -> Iterator[None]:
    """So many processes that do nothing but keep a core busy."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(num)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main() -> None:
    """Measures every setting, alone and beside a neighbour."""
    if sys.argv[1:2] == ["--child"]:
        num_steps, threads, root = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
        print(json.dumps(measure(num_steps, threads, root)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=num_cores())
    parser.add_argument("--neighbour", choices=list(_NEIGHBOUR), default="both")
    options = parser.parse_args()
    names = list(SETTINGS)
    seconds: dict[tuple[str, bool], list[float]] = {}
    seen: dict[bool, list[float]] = {}
    with tempfile.TemporaryDirectory() as root:
        measure_apart("one thread", 1, 1, root)  # makes the images
        for round_ in range(options.rounds):
            for is_busy in _NEIGHBOUR[options.neighbour]:
                with neighbour(num_cores() if is_busy else 0):
                    for i in range(len(names)):
                        name = names[(i + round_) % len(names)]
                        time_, losses = measure_apart(name, options.steps, options.threads, root)
                        seconds.setdefault((name, is_busy), []).append(time_)
                        beside = "beside a neighbour" if is_busy else "without a neighbour"
                        print(
                            f"{round_ + 1}/{options.rounds} {name}, {beside}: {time_:.2f} s", file=sys.stderr
                        )
                        if losses != seen.setdefault(name == "one thread", losses):
                            raise SystemExit(f"{name}: the losses are not those of another setting: {losses}")
    load = os.getloadavg()[1]
    print(
        f"seconds of {options.steps} steps, {options.threads} threads, {num_cores()} cores, n={options.rounds}"
    )
    print(f"load of the last five minutes {load:.1f}, the neighbour's and the benchmark's own among it")
    rows = []
    for is_busy in _NEIGHBOUR[options.neighbour]:
        print(
            f"\n{'beside a busy neighbour' if is_busy else 'without one':26}{'median':>8}  {'all':30}to as it is"
        )
        for name in names:
            values = seconds[name, is_busy]
            ratios = [value / base for value, base in zip(values, seconds[AS_IT_IS, is_busy], strict=True)]
            spread = f"{min(values):.1f} to {max(values):.1f}"
            median, ratio = statistics.median(values), statistics.median(ratios)
            print(f"{name:26}{median:8.2f}  {spread:30}{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
            rows.append({"setting": name, "busy": is_busy, "seconds": values, "ratio": round(ratio, 3)})
    print(
        json.dumps(
            {"bench": "threads", "cores": num_cores(), "threads": options.threads, "load": load, "rows": rows}
        )
    )


if __name__ == "__main__":
    main()
