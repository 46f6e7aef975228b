"""From a run to a training process: its directory, its spec, its threads and what its end means.

The training process is a child, so the parent stays free of torch and works under every Hydra launcher.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.config import RunConfig, from_dict, to_dict
from gnexp.config.keys import did_you_mean
from gnexp.runs.lock import EXIT_BUSY, is_locked
from gnexp.runs.result import DIVERGED, RESULT, Result, load_result
from gnexp.system.children import Ended, start
from gnexp.system.files import write_json, write_text
from gnexp.system.outer import Group, outer_group

SPEC_FORMAT = 1
ERROR_FILE = "error.txt"  # what a failed training process said last; gone once the run is started again
EXIT_DONE, EXIT_USER_ERROR = 0, 2
_POLL_SECONDS = 1.0
WORKER = (sys.executable, "-m", "gnexp.launch.trainer")
AGENT = (sys.executable, "-m", "gnexp.launch.torchrun")  # of several workers
_CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a run that was to be started."""

    exit_code: int
    run_dir: Path
    message: str = ""  # of a failure in quiet mode, and of a run that was finished before
    stopped_by: int | None = None  # the signal that we were sent and passed on


def num_cores() -> int:
    """Cores that this process may use: its affinity, and the share that a container grants."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_CPU.read_text(encoding="utf-8").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no Linux container, or "max": no limit
        return cores


def default_threads() -> int:
    """Threads of a run that names none: OMP_NUM_THREADS where the user has set it, else every core."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else num_cores()


def will_use_cuda(device: str) -> bool:
    """Whether a device setting leads to a CUDA device, judged without importing torch."""
    if device == "auto":
        return os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1") and Path("/dev/nvidiactl").exists()
    return device.startswith("cuda")


def find_run_dir(runs_dir: Path, run: RunConfig) -> Path:
    """A run's directory: the one that bears its id, or the name that a new one gets."""
    own = runs_dir / f"{run.run_id}-{run.label}"
    if own.is_dir() or not runs_dir.is_dir():
        return own
    # A label holds names that are no science; a run begun under another label is still the same run.
    return next((p for p in sorted(runs_dir.glob(f"{run.run_id}-*")) if p.is_dir()), own)


def finished(run_dir: Path) -> Result | None:
    """The result in a run's directory, or None while there is none.

    Raises:
        ValueError: result.json is there but torn.
    """
    path = run_dir / RESULT
    return load_result(path) if path.exists() else None


def headline(result: Result) -> str:
    """A result in a few words: "17.1 % error", or "diverged"."""
    if result.status == DIVERGED:
        return "diverged"
    for key, words in (
        ("val/top1_error", "% error"),
        ("val/box_ap", "box AP"),
        ("val/top1_accuracy", "% right"),
    ):
        if key in result.metrics:
            return f"{result.metrics[key]:.1f} {words}"
    return result.status


def write_spec(run: RunConfig, run_dir: Path, rank: int = 0) -> Path:
    """Writes spec.json, what the training process reads; one of its own for each that an outer torchrun started.

    Raises:
        ValueError: the directory holds another run, or cannot be written.
    """
    spec = run_dir / (f".rank{rank}.spec.json" if rank else "spec.json")
    try:
        if spec.exists() and (other := _spec_id(spec)) not in (None, run.run_id):
            raise ValueError(f"{spec} describes run {other}, not {run.run_id}: move {run_dir} away")
        write_json(
            spec, {"format": SPEC_FORMAT, "run_id": run.run_id, "label": run.label, "config": to_dict(run)}
        )
        (run_dir / ERROR_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(unwritable(run_dir, error)) from None
    return spec


def _spec_id(spec: Path) -> str | None:
    """The run_id of what a spec says; None where it is torn, since it is then written anew."""
    try:
        return from_dict(json.loads(spec.read_text(encoding="utf-8"))["config"]).run_id
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def unwritable(place: Path, error: OSError) -> str:
    """The line about a directory that cannot be written."""
    return f"cannot write to {place} ({error.strerror or error}); free it or choose another with runs_dir=..."


def launch(run: RunConfig, runs_dir: Path, *, quiet: bool) -> Outcome:
    """Trains a run in a child process, or says that it is finished already.

    Args:
        run: the run; threads=None takes default_threads().
        runs_dir: where run directories lie.
        quiet: keep the child off the terminal, as one of many in a sweep.

    Raises:
        ValueError: the run's directory cannot be used.
    """
    run_dir = find_run_dir(runs_dir, run)
    while quiet and is_locked(run_dir):
        time.sleep(_POLL_SECONDS)  # another sweep is at this run; when it ends there is nothing left to do
    if result := finished(run_dir):
        return Outcome(
            exit_code=EXIT_DONE, run_dir=run_dir, message=f"already finished: {headline(result)} in {run_dir}"
        )
    outer = outer_group()
    if outer is not None:
        if run.processes not in (1, outer.size):
            raise ValueError(
                f"processes={run.processes} must be the {outer.size} that {outer.starter} has started; leave it out"
            )
        run = dataclasses.replace(run, processes=outer.size)
    if run.threads is None:
        run = dataclasses.replace(run, threads=max(1, default_threads() // _num_local(run, outer)))
    spec = write_spec(run, run_dir, outer.rank if outer else 0)
    env = {**os.environ, **(outer.environment if outer else {})}
    # Read by OpenMP and MKL while they are imported, before the worker could set anything.
    env.update(OMP_NUM_THREADS=str(run.threads), MKL_NUM_THREADS=str(run.threads))
    is_agents = outer is None and run.processes > 1
    command = [*AGENT, str(run.processes), str(spec)] if is_agents else [*WORKER, "train", str(spec)]
    if not quiet:
        code = start(command, env).exit_code
        if outer is not None and outer.rank:
            spec.unlink(missing_ok=True)
        return Outcome(exit_code=EXIT_USER_ERROR if code == EXIT_BUSY else code, run_dir=run_dir)
    ended = _start_quietly(command, run_dir, env)
    if ended.exit_code == EXIT_BUSY and ended.stopped_by is None:
        return launch(run, runs_dir, quiet=True)  # the other was quicker by a moment: wait for it
    return _quiet_outcome(ended, run_dir)


def _num_local(run: RunConfig, outer: Group | None) -> int:
    """Processes of a run that share the cores that this one sees."""
    if outer is None:
        return run.processes
    if outer.starter == "torchrun":
        return int(os.environ.get("LOCAL_WORLD_SIZE", outer.size))
    if "SLURM_CPUS_PER_TASK" in os.environ:  # srun gives each process cores of its own
        return 1
    return int(os.environ.get("SLURM_NTASKS_PER_NODE", outer.size))


def _start_quietly(command: Sequence[str], run_dir: Path, env: dict[str, str]) -> Ended:
    """Runs a training process whose words go into the run's log and not to the terminal."""
    with (run_dir / "log.txt").open("ab") as log:
        ended = start(command, {**env, "GNEXP_QUIET": "1"}, stdout=log, stderr=subprocess.PIPE)
        if ended.exit_code != EXIT_BUSY:  # else the log is another process's
            log.write(ended.errors)
    return ended


def _quiet_outcome(ended: Ended, run_dir: Path) -> Outcome:
    """What became of a quiet run; a failure's last words are kept in ERROR_FILE for the sweep to list."""
    if ended.exit_code == EXIT_DONE:
        (run_dir / ERROR_FILE).unlink(missing_ok=True)
    if ended.exit_code == EXIT_DONE or ended.stopped_by is not None:
        return Outcome(exit_code=ended.exit_code, run_dir=run_dir, stopped_by=ended.stopped_by)
    said = ended.errors.decode(errors="replace")
    message = _last_line(said) or f"the training process left with exit code {ended.exit_code}"
    with contextlib.suppress(OSError):  # a full disk is why it failed, perhaps; the message still travels
        write_text(run_dir / ERROR_FILE, message + "\n")
    return Outcome(exit_code=ended.exit_code, run_dir=run_dir, message=message)


def start_worker(
    arguments: Sequence[str], env: dict[str, str], *, stdout: Any = None, stderr: Any = None
) -> Ended:
    """Runs `python -m gnexp.launch.trainer` with arguments; see `start`."""
    return start([*WORKER, *arguments], env, stdout=stdout, stderr=stderr)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("gnexp: ").removeprefix("error: ") if lines else ""


def named_run_dir(name: str, runs_dir: Path) -> Path:
    """The run directory that a person named by its path, its id, or the start of its id.

    Raises:
        ValueError: there is none, or more than one.
    """
    if (Path(name) / "spec.json").is_file():
        return Path(name)
    dirs = sorted(path.parent for path in runs_dir.glob("*/spec.json"))
    found = [path for path in dirs if path.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"{name} is the start of {len(found)} runs: {', '.join(path.name for path in found[:5])}"
        )
    ids = [path.name.split("-")[0] for path in dirs]
    raise ValueError(f"no run {name} in {runs_dir} ({len(ids)} runs there){did_you_mean(name, ids)}")
