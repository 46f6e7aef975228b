"""Training for real: two cells' errors beside a CPU's, where a step's time goes, and a resume after a kill.

    python benchmarks/gpu/part_training.py --cells RUNS_DIR > benchmarks/gpu/cpu_cells.json

collects a CPU's finished runs of the same cells into the file that the errors are compared with.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from device_clock import wait_for
from ops_rows import spread
from part import Part, run_part

from gnexp.compose.composer import Composer
from gnexp.engine.checkpoint import load_tensors
from gnexp.engine.state import build
from gnexp.engine.train import StepRecord, train
from gnexp.runs.directory import RunDirectory, run_dirs
from gnexp.runs.result import Result, finished
from gnexp.runs.spec import write_spec

BATCH = 2
SCORE = "val/top1_error"
CPU_CELLS = Path(__file__).with_name("cpu_cells.json")
TRAINER = Path(__file__).with_name("deterministic_trainer.py")
POLL_SECONDS = 0.02
FIRST_STEPS = 5  # they pay for memory and kernels


def measure(part: Part) -> None:
    """Trains the cells, profiles their steps, and resumes a killed run."""
    with tempfile.TemporaryDirectory() as folder:
        runs_dir = Path(folder)
        for norm in part.sizes.train_norms:
            _train(part, norm, runs_dir)
        _resume(part, runs_dir)
        for norm in part.sizes.train_norms:
            _profile(part, norm)


def _words(part: Part, norm: str) -> list[str]:
    return [f"norm={norm}", f"batch={BATCH}", f"device={part.device.type}", *part.sizes.train_words]


def _train(part: Part, norm: str, runs_dir: Path) -> None:
    """One cell by the command that a user gives."""
    words = _words(part, norm)
    name, own = f"training, {norm} at {BATCH}, error after an epoch", runs_dir / norm
    done = subprocess.run(
        [sys.executable, "-m", "gnexp", "train", *words, f"runs_dir={own}"],
        capture_output=True,
        text=True,
        errors="replace",
    )
    results = list(_results(own))
    if done.returncode or not results:
        part.figure(name, None, note=_last_line(done.stderr or done.stdout), is_wrong=True)
        return
    result = results[0]
    part.row({"rows": "training", **_kept(result)})
    if SCORE not in result.metrics:
        part.figure(name, None, note=result.status, is_wrong=True)
        return
    part.figure(name, round(result.metrics[SCORE], 2), "%", n=1, note=_beside(result.run_id, norm))


def _beside(run_id: str, norm: str) -> str:
    """What the CPU's runs of the same cell gave."""
    cells = json.loads(CPU_CELLS.read_text(encoding="utf-8"))
    found = [cell for cell in cells["runs"] if cell["norm"] == norm]
    if run_id not in {cell["run_id"] for cell in found}:
        return "another cell than the CPU's: nothing to compare"
    same = next(cell for cell in found if cell["run_id"] == run_id)
    errors = [cell["metrics"][SCORE] for cell in found]
    return (
        f"a CPU's: {same['metrics'][SCORE]:.2f} of this seed, "
        f"{min(errors):.2f} to {max(errors):.2f} of n = {len(errors)} seeds"
    )


def _kept(result: Result) -> dict[str, Any]:
    """What of a result is kept: no file that a report could take for a run of its own."""
    return {
        "run_id": result.run_id, "label": result.label, "seed": result.science["seed"],
        "norm": result.science["norm"]["kind"], "batch": result.science["batch"], "metrics": result.metrics,
        "seconds": result.seconds, "env": result.env,
    }  # fmt: skip


def _profile(part: Part, norm: str) -> None:
    """Milliseconds of a training step by the clock, and of them what the host launches and the device computes."""
    run = Composer().run([*_words(part, norm), "recipe.epochs=1000"])
    steps = (record for record in train(build(run, part.device)) if isinstance(record, StepRecord))
    for _ in range(FIRST_STEPS):
        next(steps)
    times = []
    for _ in range(part.sizes.profiled_steps):
        start = time.perf_counter()
        next(steps)  # ends with the loss on the host: the device has done the forward and the backward pass
        times.append(1e3 * (time.perf_counter() - start))
    wait_for(part.device)
    num = part.sizes.profiled_steps
    with torch.profiler.profile(activities=_activities(part.device)) as profiler:
        for _ in range(num):
            next(steps)
        wait_for(part.device)
    num_kernels, kernel_ms, launch_ms = _kernels(profiler.key_averages(), part.device.type)
    found = spread(times)
    name = f"training, {norm} at {BATCH}, a step"
    part.row({
        "rows": "profile", "norm": norm, "step_ms": found, "kernels_a_step": round(num_kernels / num, 1),
        "kernel_ms_a_step": round(kernel_ms / num, 4), "launch_ms_a_step": round(launch_ms / num, 4), "n": num,
    })  # fmt: skip
    part.figure(
        name,
        found["median"],
        "ms",
        low=found["low"],
        high=found["high"],
        n=len(times),
        note=f"profiled: {num_kernels / num:.0f} kernels take {kernel_ms / num:.2f} ms, "
        f"their launches {launch_ms / num:.2f} ms",
    )


def _activities(device: torch.device) -> list[torch.profiler.ProfilerActivity]:
    kinds = torch.profiler.ProfilerActivity
    return [kinds.CPU, kinds.CUDA] if device.type == "cuda" else [kinds.CPU]


def _kernels(events: Iterable[Any], kind: str) -> tuple[int, float, float]:
    """How many kernels ran, the milliseconds that they took, and those that launching them took.

    On a CPU an operator is its own kernel: what it takes itself counts, and nothing launches it.

    Args:
        events: the profiler's averages.
        kind: the device's.
    """
    num, kernel_us, launch_us = 0, 0.0, 0.0
    for event in events:
        if kind == "cpu":
            if event.key.startswith("aten::"):
                num += event.count
                kernel_us += event.self_cpu_time_total
        elif event.device_type == torch.autograd.DeviceType.CUDA:
            if (
                not event.is_user_annotation
            ):  # such as the optimizer's, which spans kernels that count themselves
                num += event.count
                kernel_us += event.self_device_time_total
        elif event.key.startswith("cu") and "Launch" in event.key:  # cudaLaunchKernel, cuLaunchKernelEx
            launch_us += event.self_cpu_time_total
    return num, kernel_us / 1e3, launch_us / 1e3


def _resume(part: Part, runs_dir: Path) -> None:
    """Two undisturbed runs and one that is killed and started again, all with deterministic operators."""
    name = "training, a resume after a kill"
    run = Composer().run([f"device={part.device.type}", *part.sizes.resume_words])
    folders = [RunDirectory(runs_dir / name / run.run_id) for name in ("first", "second", "killed")]
    for folder in folders:
        write_spec(run, folder)
    whole = [_start(folder) for folder in folders[:2]]
    killed = _start(folders[2])
    try:
        while killed.poll() is None and _num_saved(folders[2]) < part.sizes.resume_kill:
            time.sleep(POLL_SECONDS)
        was_killed = killed.poll() is None
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        whole.append(_start(folders[2]))
        words = [process.communicate()[1] for process in whole]
    finally:
        for process in (killed, *whole):
            if process.poll() is None:
                process.kill()
                process.wait()
    failed = [text for process, text in zip(whole, words, strict=True) if process.returncode]
    if failed or not was_killed:
        note = _last_line(failed[0]) if failed else "the run ended before it was killed"
        part.figure(name, None, note=note, is_wrong=True)
        return
    first, second, resumed = map(_bits, folders)
    same = {
        "undisturbed": _is_equal(first, second),
        "resumed": _is_equal(first, resumed),
    }
    part.row({"rows": "resume", **same, "steps_before_the_kill": part.sizes.resume_kill})
    note = (
        "weights and metrics bit for bit as undisturbed"
        if same["resumed"]
        else "not the undisturbed run's bits"
    )
    if not same["undisturbed"]:
        note += "; two undisturbed runs differ as well, so the resume cannot be judged"
    part.figure(name, float(same["resumed"]), "equal", n=1, note=note, is_wrong=not same["resumed"])


def _start(directory: RunDirectory) -> subprocess.Popen[str]:
    """A trainer as gnexp starts it, but deterministic."""
    environment = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(TRAINER), "train", str(directory.spec)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def _num_saved(directory: RunDirectory) -> int:
    """Steps in the newest checkpoint, of an epoch that is not over."""
    steps = [int(path.stem.rsplit("step", 1)[1]) for path in directory.checkpoints.glob("*.pt")]
    return max(steps, default=0)


def _bits(directory: RunDirectory) -> tuple[dict[str, torch.Tensor], bytes]:
    weights = load_tensors(directory.weights, torch.device("cpu"))["model"]
    return weights, directory.metrics.read_bytes()


def _is_equal(
    first: tuple[dict[str, torch.Tensor], bytes], second: tuple[dict[str, torch.Tensor], bytes]
) -> bool:
    weights, others = first[0], second[0]
    is_same = weights.keys() == others.keys() and all(
        torch.equal(weights[key], others[key]) for key in weights
    )
    return is_same and first[1] == second[1]


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no word")[:300]


def _cells(runs_dir: Path) -> Iterator[dict[str, Any]]:
    yield from map(_kept, _results(runs_dir))


def _results(runs_dir: Path) -> Iterator[Result]:
    yield from filter(None, map(finished, run_dirs(runs_dir)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--cells"]:
        about = "a CPU's runs of part_training's cells; never collected into results/runs"
        print(json.dumps({"about": about, "runs": list(_cells(Path(sys.argv[2])))}, indent=1))
    else:
        run_part("training", measure)
