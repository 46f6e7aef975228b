"""Kills runs at random moments, lets them go on, and counts how many end equal to one that nobody disturbed.

    make soak N=100
    python scripts/soak.py --runs 100 [--seed 0] [--jobs 2] [--kills 3] [--keep DIR]

Every start is the real command line. Equal means every tensor of the last checkpoint and of the final weights (weights,
optimizer, running statistics), bit for bit, and every byte of the metrics. The last line counts; exit code 1 if a run
differs, whose directory is then kept.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gnexp.engine.checkpoint import load_tensors
from gnexp.runs.directory import RunDirectory, run_dirs

ROOT = Path(__file__).resolve().parents[1]
COMMON = ["scale=smoke", "recipe.epochs=3", "workers=4", "batch=4", "threads=1", "checkpoint_minutes=0"]
SMALL = ["data.num_train=165", "data.num_val=90"]
FOLDER = [
    "data=imagefolder", "data.name=noise", "data.num_classes=2", "data.image_size=32", "data.eval_resize=36",
    "data.num_train=null", "data.num_val=null", "data.loader_workers=2",
]  # fmt: skip
# What is run, and how many of ten runs are such; {folder} holds generated JPEGs.
VARIANTS = {
    "bn, one process": ([*SMALL, "norm=bn"], 4),
    "brn, two processes": ([*SMALL, "norm=brn", "processes=2"], 3),
    "bn, two loader processes": ([*FOLDER, "norm=bn", "data.root={folder}"], 2),
    "gn, two processes with two loader processes each": (
        [*FOLDER, "norm=gn", "data.root={folder}", "processes=2"], 1,
    ),
}  # fmt: skip
# A signal to the command itself, or SIGKILL to some of its processes.
BLOWS = ("SIGTERM", "SIGINT", "SIGUSR2", "SIGKILL command", "SIGKILL one process", "SIGKILL all")
ENDED_SECONDS = 10.0  # after which nothing of a killed run may be left


@dataclass
class Run:
    """One run of the soak."""

    number: int
    variant: str
    blows: list[str] = field(default_factory=list)
    problem: str = ""


def save_noise(folder: Path) -> None:
    """Folders of two classes of small JPEGs."""
    rng = np.random.default_rng(0)
    for split, num in (("train", 70), ("val", 20)):
        for name in ("a", "b"):
            place = folder / split / name
            place.mkdir(parents=True)
            for index in range(num):
                coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((60, 44)).save(place / f"{index:03}.jpg")


def start(words: list[str], runs_dir: Path, log: Path) -> subprocess.Popen[bytes]:
    """The command, in a process group of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with open(log, "ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "gnexp", "train", *words, f"runs_dir={runs_dir}"],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


def processes_of(runs_dir: Path) -> list[int]:
    """All that have the runs' folder in their command line: the command, torchrun, the trainers, their loaders."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_ended = (entry / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
            if not is_ended and str(runs_dir).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return sorted(found)


def strike(command: subprocess.Popen[bytes], blow: str, runs_dir: Path, chance: random.Random) -> None:
    """Delivers a blow; a process that has ended meanwhile is none."""
    with contextlib.suppress(ProcessLookupError):
        if not blow.startswith("SIGKILL"):
            command.send_signal(signal.Signals[blow])
        elif blow == "SIGKILL command":
            command.kill()
        else:
            alive = processes_of(runs_dir)
            for pid in alive if blow == "SIGKILL all" else [chance.choice(alive)] if alive else []:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def disturb(
    run: Run, words: list[str], folder: Path, seconds: float, kills: int, chance: random.Random
) -> None:
    """Starts, kills and starts again; the last start is left alone. A run that ended before its blow has none left."""
    log = folder / "said.txt"
    for _ in range(chance.randint(1, kills)):
        command = start(words, folder, log)
        begin = time.monotonic()
        if chance.random() < 0.6:  # in training, where most of a long run's time goes; else at any moment
            while command.poll() is None and not any(d.all_checkpoints for d in run_dirs(folder)):
                time.sleep(0.01)
            wait = chance.uniform(0, seconds / 3)
        else:
            wait = chance.uniform(0, seconds)
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(wait)
        if command.poll() is not None:
            break
        blow = chance.choice(BLOWS)
        strike(command, blow, folder, chance)
        run.blows.append(f"{blow} after {time.monotonic() - begin:.1f} s")
        command.wait(60)
        deadline = time.monotonic() + ENDED_SECONDS
        while left := processes_of(folder):
            if time.monotonic() > deadline:
                run.problem = f"{len(left)} processes outlived {blow} by {ENDED_SECONDS:g} s"
                strike(command, "SIGKILL all", folder, chance)
                return
            time.sleep(0.05)
    command = start(words, folder, log)
    if (code := command.wait(300)) != 0:
        run.problem = (
            f"the last start left with exit code {code}: {log.read_text(encoding='utf-8').splitlines()[-1]}"
        )


def difference(ours: RunDirectory, expected: RunDirectory) -> str:
    """Where two finished runs' directories differ, or nothing."""
    if ours.metrics.read_bytes() != expected.metrics.read_bytes():
        return f"{ours.metrics.name} differs"
    last = expected.all_checkpoints[0].name
    for paths in ((ours.weights, expected.weights), (ours.checkpoints / last, expected.checkpoints / last)):
        pair = [load_tensors(path, torch.device("cpu")) for path in paths]
        if found := _difference(*pair, paths[0].name):
            return found
    return ""


def _difference(ours: object, expected: object, name: str) -> str:
    if isinstance(expected, dict) and isinstance(ours, dict):
        if ours.keys() != expected.keys():
            return f"{name}: other keys"
        found = (_difference(ours[key], expected[key], f"{name}/{key}") for key in expected)
        return next(filter(None, found), "")
    if isinstance(expected, torch.Tensor):
        return "" if isinstance(ours, torch.Tensor) and torch.equal(ours, expected) else f"{name} differs"
    # Times are of the machine.
    return "" if ours == expected or "seconds" in name else f"{name}: {ours!r} is not {expected!r}"


def plan(num: int) -> list[str]:
    """The variant of each run, in turn."""
    turn = [name for name, (_, share) in VARIANTS.items() for _ in range(share)]
    # Seven steps on at a time: each of the ten comes, and the kinds are mixed from the start.
    order = [turn[(7 * index) % len(turn)] for index in range(len(turn))]
    return [order[index % len(order)] for index in range(num)]


def main() -> int:
    """Runs the soak and prints its line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of what is killed, when and how")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--kills", type=int, default=3, help="blows to a run at most")
    parser.add_argument(
        "--keep", type=Path, help="where runs that differ are kept (default: a temporary folder)"
    )
    options = parser.parse_args()
    if min(options.runs, options.jobs, options.kills) < 1:
        parser.error("--runs, --jobs and --kills must be at least 1")
    folder = Path(tempfile.mkdtemp(prefix="gnexp-soak-"))
    begin = time.monotonic()
    try:
        return _soak(options, folder, begin)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _soak(options: argparse.Namespace, folder: Path, begin: float) -> int:
    save_noise(folder / "noise")
    variants = plan(options.runs)
    words = {
        name: [*COMMON, *(word.format(folder=folder / "noise") for word in VARIANTS[name][0])]
        for name in dict.fromkeys(variants)
    }
    seconds: dict[str, float] = {}

    def undisturbed(number: int, name: str) -> bool:
        place, start_time = folder / f"whole{number}", time.monotonic()
        place.mkdir()
        if start(words[name], place, place / "said.txt").wait(600) != 0:
            print((place / "said.txt").read_text(encoding="utf-8"), file=sys.stderr)
            return False
        seconds[name] = time.monotonic() - start_time
        return True

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        if not all(pool.map(undisturbed, range(len(words)), words)):
            return 1
    whole = {name: run_dirs(folder / f"whole{number}")[0] for number, name in enumerate(words)}
    said = threading.Lock()

    def one(number: int) -> Run:
        run, chance = Run(number, variants[number]), random.Random(f"{options.seed}/{number}")
        place = folder / f"run{number:04}"
        place.mkdir()
        disturb(run, words[run.variant], place, seconds[run.variant], options.kills, chance)
        if not run.problem:
            run.problem = difference(run_dirs(place)[0], whole[run.variant])
        with said:
            print(
                f"{number + 1:4} {run.variant}: {'; '.join(run.blows) or 'not hit'}: {run.problem or 'equal'}",
                flush=True,
            )
        if run.problem:
            kept = options.keep or Path(tempfile.mkdtemp(prefix="gnexp-soak-kept-"))
            shutil.copytree(place, kept / f"run{number}", dirs_exist_ok=True)
            print(f"     kept in {kept / f'run{number}'}", flush=True)
        shutil.rmtree(place)
        return run

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = list(pool.map(one, range(options.runs)))
    equal = sum(not run.problem for run in runs)
    kinds = Counter(blow.split(" after")[0] for run in runs for blow in run.blows)
    kills = ", ".join(f"{count} {blow}" for blow, count in sorted(kinds.items()))
    shares = ", ".join(f"{count} {name}" for name, count in Counter(variants).items())
    print(
        f"{equal} of {len(runs)} runs ended equal to the uninterrupted one; {kinds.total()} blows ({kills}); "
        f"runs: {shares}; seed {options.seed}; {(time.monotonic() - begin) / 60:.1f} min"
    )
    return 0 if equal == len(runs) else 1


if __name__ == "__main__":
    sys.exit(main())
