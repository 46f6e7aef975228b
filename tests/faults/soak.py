"""Kills runs at random moments until they end, and counts those that end equal to one that nobody disturbed.

`python -m tests.faults.soak 100`, or `make soak N=100`. Every kill is a real signal to a real process. Most sittings
are forked from a server that has imported torch, since the import would be most of their time; a share (--share) is of
the real command line, import included. Equal means bit for bit: weights, optimizer, running statistics, metrics.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import tiny
from tests.faults.started import ROOT, Started, is_alive, pair, processes_in, worker

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
# Kind of run -> how often among those that are forked.
FORKED = {"one process": 6, "two processes": 2, "two loader processes": 2}
REAL = {"command": 1, "command, two processes": 1}
_PATIENCE = 90  # seconds for a sitting to end once it was killed: torchrun alone gives its processes 30


@dataclass
class Tally:
    """What a soaked run went through."""

    kind: str
    is_equal: bool = False
    kills: Counter[str] = field(default_factory=Counter)
    tracebacks: int = 0
    difference: str = ""


class Sitting:
    """One start of a run, forked or real, and how to hit it."""

    def __init__(self, pids: list[int], groups: list[int], folder: Path | None) -> None:
        self._pids, self._groups, self._folder = pids, groups, folder

    @property
    def living(self) -> list[int]:
        """Its processes, loader processes aside."""
        return list(processes_in(self._folder)) if self._folder else [p for p in self._pids if is_alive(p)]

    def hit(self, rng: random.Random) -> str:
        """Sends a random signal to a random one of its processes, or to a whole group; returns what was done."""
        number = rng.choice(SIGNALS)
        living = self.living
        if not living:
            return ""
        with contextlib.suppress(ProcessLookupError):
            if rng.random() < 0.3:
                os.killpg(rng.choice(self._groups), number)
                return f"{number.name} to a group"
            os.kill(rng.choice(living), number)
            return number.name
        return ""

    def wait(self, seconds: float) -> bool:
        """Whether it ended within some seconds."""
        deadline = time.monotonic() + seconds
        while self.living:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


class Soaked:
    """One run's folder and how its sittings are started."""

    def __init__(self, kind: str, folder: Path, photographs: Path) -> None:
        self.kind, self.folder = kind, folder
        folder.mkdir(parents=True)
        changes: dict[str, Any] = {"checkpoint_minutes": 0.0}
        if "two processes" in kind:
            changes["processes"] = 2
        if "loader" in kind:
            data = tiny.photographs(photographs)
            changes["data"] = dataclasses.replace(data, loader_workers=2)
        self._processes = changes.get("processes", 1)
        self._spec = None if kind in REAL else tiny.write_spec(folder / "runs", **changes)

    @property
    def directory(self) -> Path:
        (found,) = self.folder.glob("runs/*/spec.json")
        return found.parent

    def errors(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("**/stderr*.txt")))

    @contextlib.contextmanager
    def sitting(self) -> Iterator[Sitting]:
        if self._spec is None:
            with self._command() as sitting:
                yield sitting
        else:
            started: Any = worker(self._spec) if self._processes == 1 else pair(self._spec)
            with started as found:
                group: list[Started] = [found] if self._processes == 1 else found
                pids = [process.pid for process in group]
                yield Sitting(pids, pids, None)

    @contextlib.contextmanager
    def _command(self) -> Iterator[Sitting]:
        data = f"data.num_train={tiny.TINY.data.num_train} data.num_val={tiny.TINY.data.num_val}"
        words = (
            f"train scale=smoke norm=bn batch=4 workers=2 processes={self._processes} threads=1 device=cpu "
            f"{data} recipe.epochs={tiny.EPOCHS} checkpoint_minutes=0"
        )
        with open(self.folder / "stderr.txt", "w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "gnexp", *words.split()],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                stdout=subprocess.DEVNULL,
                stderr=errors,
                process_group=0,
            )
        try:
            yield Sitting([process.pid], [process.pid], self.folder)
        finally:
            process.poll()
            for pid in processes_in(self.folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def soak(run: Soaked, seconds: float, expected: dict[str, Any], seed: str, most_kills: int) -> Tally:
    """Starts a run again and again, hits each sitting but the last, and compares what came of it."""
    rng, tally = random.Random(seed), Tally(run.kind)
    for _ in range(rng.randint(1, most_kills)):
        with run.sitting() as sitting:
            if sitting.wait(rng.uniform(0, seconds)):
                tally.tracebacks += "Traceback" in run.errors()
                continue  # it was done before, or had nothing left to do
            done = sitting.hit(rng)
            if done:
                tally.kills[done] += 1
            if not sitting.wait(_PATIENCE):
                tally.difference = f"{done or 'nothing'} did not end it within {_PATIENCE} s"
                return tally
            tally.tracebacks += "Traceback" in run.errors()
    with run.sitting() as sitting:
        sitting.wait(10 * _PATIENCE)
    try:
        tiny.assert_equal(tiny.contents(run.directory), expected)
        tally.is_equal = True
    except (AssertionError, OSError, ValueError) as error:
        tally.difference = (
            f"{type(error).__name__} at {' '.join(str(error).split())[:300]}; {run.errors()[-300:]}"
        )
    return tally


def main(argv: list[str] | None = None) -> int:
    """Returns 0 where all runs ended equal, else 1."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0])
    parser.add_argument("num", type=int, metavar="N", help="runs")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the moments and the signals; a new one if absent"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--share", type=float, default=0.1, help="of the runs by the real command line")
    parser.add_argument("--kills", type=int, default=4, help="of a run at most")
    options = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    rng, begin = random.Random(seed), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="gnexp-soak-"))
    num_real = round(options.num * options.share)
    kinds = rng.choices(list(FORKED), list(FORKED.values()), k=options.num - num_real)
    kinds += rng.choices(list(REAL), list(REAL.values()), k=num_real)
    rng.shuffle(kinds)
    photographs = folder / "photographs"
    tiny.photographs(photographs)
    expected, seconds = {}, {}
    for kind in sorted(set(kinds)):
        for name in (
            "first",
            "reference",
        ):  # the first of all pays for what later ones find in the file cache
            run = Soaked(kind, folder / f"{name} {kind}", photographs)
            start = time.monotonic()
            with run.sitting() as sitting:
                sitting.wait(10 * _PATIENCE)
            seconds[kind] = time.monotonic() - start
        expected[kind] = tiny.contents(run.directory)

    def one(index: int) -> Tally:
        run = Soaked(kinds[index], folder / f"run {index}", photographs)
        tally = soak(run, seconds[kinds[index]], expected[kinds[index]], f"{seed} {index}", options.kills)
        if tally.is_equal:
            shutil.rmtree(run.folder)
        else:
            print(
                f"differs: run {index} ({tally.kind}), {dict(tally.kills)}: {tally.difference}\n  kept: {run.folder}"
            )
        return tally

    with ThreadPoolExecutor(options.jobs) as pool:
        tallies = list(pool.map(one, range(options.num)))
    kills = sum((tally.kills for tally in tallies), Counter[str]())
    num_equal = sum(tally.is_equal for tally in tallies)
    print(
        f"{num_equal} of {options.num} runs ended equal to the uninterrupted one ({kills.total()} kills: "
        f"{', '.join(f'{count} {name}' for name, count in kills.most_common())}; "
        f"{', '.join(f'{count} {kind}' for kind, count in Counter(kinds).most_common())}; all but the commands forked "
        f"after the import of torch; {sum(tally.tracebacks for tally in tallies)} tracebacks; seed {seed}, "
        f"{time.monotonic() - begin:.0f} s)"
    )
    if num_equal == options.num:
        shutil.rmtree(folder)
    return int(num_equal < options.num)


if __name__ == "__main__":
    sys.exit(main())
