"""From a run to its trainer: its directory, its spec, its threads and what its end means.

The trainer is a child, so the parent stays free of torch and works under every Hydra launcher.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.config import RunConfig
from gnexp.runs.directory import RunDirectory, find_run_dir
from gnexp.runs.lock import is_locked
from gnexp.runs.result import finished, headline
from gnexp.runs.spec import write_spec
from gnexp.runs.status import write_error
from gnexp.system.children import Ended, start
from gnexp.system.exit_codes import EXIT_BUSY, EXIT_DONE, EXIT_USER_ERROR
from gnexp.system.hardware import default_threads
from gnexp.system.outer import Group, outer_group

TRAINER = (sys.executable, "-m", "gnexp.launch.trainer")
TORCHRUN = (sys.executable, "-m", "gnexp.launch.torchrun")  # starts several trainers
_POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a run that was to be started."""

    exit_code: int
    run_dir: RunDirectory
    message: str = ""  # of a failure in quiet mode, and of a run that was finished before
    stopped_by: int | None = None  # the signal that we were sent and passed on


def launch(run: RunConfig, runs_dir: Path, *, quiet: bool) -> Outcome:
    """Trains a run in a child process, or says that it is finished already.

    Args:
        run: the run; threads=None takes default_threads().
        runs_dir: where run directories lie.
        quiet: keep the child off the terminal, as one of many in a sweep.

    Raises:
        ValueError: the run's directory cannot be used, or its network's package is missing.
    """
    run_dir = find_run_dir(runs_dir, run)
    while quiet and is_locked(run_dir):
        time.sleep(_POLL_SECONDS)  # another sweep is at this run; when it ends there is nothing left to do
    if result := finished(run_dir):
        return Outcome(
            exit_code=EXIT_DONE, run_dir=run_dir, message=f"already finished: {headline(result)} in {run_dir}"
        )
    run.model.check_installed()
    outer = outer_group()
    if outer is not None:
        if run.processes not in (1, outer.world_size):
            raise ValueError(
                f"processes={run.processes} must be the {outer.world_size} that {outer.starter} has started; "
                "leave it out"
            )
        run = dataclasses.replace(run, processes=outer.world_size)
    if run.threads is None:
        run = dataclasses.replace(run, threads=max(1, default_threads() // _num_local(run, outer)))
    spec = write_spec(run, run_dir, outer.rank if outer else 0)
    env = {**os.environ, **(outer.environment if outer else {})}
    # Read by OpenMP and MKL while they are imported, before the trainer could set anything.
    env.update(OMP_NUM_THREADS=str(run.threads), MKL_NUM_THREADS=str(run.threads))
    command = [*TRAINER, "train", str(spec)]
    if outer is None and run.processes > 1:
        command = [*TORCHRUN, str(run.processes), str(spec)]
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
        return int(os.environ.get("LOCAL_WORLD_SIZE", outer.world_size))
    if "SLURM_CPUS_PER_TASK" in os.environ:  # srun gives each process cores of its own
        return 1
    return int(os.environ.get("SLURM_NTASKS_PER_NODE", outer.world_size))


def _start_quietly(command: Sequence[str], run_dir: RunDirectory, env: dict[str, str]) -> Ended:
    """Runs a trainer whose words go into the run's log and not to the terminal."""
    with run_dir.log.open("ab") as log:
        ended = start(command, {**env, "GNEXP_QUIET": "1"}, stdout=log, stderr=subprocess.PIPE)
        if ended.exit_code != EXIT_BUSY:  # else the log is another process's
            log.write(ended.errors)
    return ended


def _quiet_outcome(ended: Ended, run_dir: RunDirectory) -> Outcome:
    """What became of a quiet run; a failure's last words are kept for the sweep to list."""
    if ended.exit_code == EXIT_DONE:
        run_dir.error.unlink(missing_ok=True)
    if ended.exit_code == EXIT_DONE or ended.stopped_by is not None:
        return Outcome(exit_code=ended.exit_code, run_dir=run_dir, stopped_by=ended.stopped_by)
    said = ended.errors.decode(errors="replace")
    message = _last_line(said) or f"the trainer left with exit code {ended.exit_code}"
    with contextlib.suppress(OSError):  # a full disk is why it failed, perhaps; the message still travels
        write_error(run_dir, message)
    return Outcome(exit_code=ended.exit_code, run_dir=run_dir, message=message)


def start_job(
    arguments: Sequence[str], env: dict[str, str], *, stdout: Any = None, stderr: Any = None
) -> Ended:
    """Runs a job of gnexp.launch.jobs in a child; see `start`."""
    return start([*TRAINER, *arguments], env, stdout=stdout, stderr=stderr)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("gnexp: ").removeprefix("error: ") if lines else ""
