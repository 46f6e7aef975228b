"""The sweeper behind `gnexp sweep`: hands gnexp.sweep's jobs to whatever Hydra launcher was chosen."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

if TYPE_CHECKING:
    from gnexp.config import RunConfig

ConfigStore.instance().store(
    group="hydra/sweeper",
    name="gnexp",
    node={"_target_": "hydra_plugins.gnexp_sweeper.sweeper.GnexpSweeper", "all_experiments": False},
)


class GnexpSweeper(Sweeper):
    """Skips what is finished, runs the rest side by side, and leaves with exit code 1 if any failed.

    Args:
        all_experiments: whether each experiment of the scale is swept; no override says so, since none is its file.
    """

    def __init__(self, all_experiments: bool = False) -> None:
        self._all_experiments = all_experiments

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.hydra_context = hydra_context
        self.task_function = task_function

    def sweep(self, arguments: list[str]) -> Any:
        """Runs the sweep.

        Raises:
            ValueError: a mistake of the user, before anything is started.
            SystemExit: with the exit code, once the sweep is over.
        """
        # Hydra imports every plugin at each start, so what only a sweep needs is imported here.
        from gnexp.compose import composer as compose
        from gnexp.compose.foreign import dropped_notes
        from gnexp.compose.overrides import question
        from gnexp.config.keys import ALL_EXPERIMENTS
        from gnexp.config.spelling import spell
        from gnexp.sweep.budget import end_of, spelled
        from gnexp.sweep.plan import PENDING, describe, generations, make_plan
        from gnexp.sweep.run import Launched, run_plan
        from gnexp.system.exit_codes import EXIT_DONE
        from gnexp.system.terminal import require_printed

        assert self.config is not None and self.hydra_context is not None
        sources = self.config.hydra.runtime.config_sources
        composer = compose.Composer(
            [f"{s.schema}://{s.path}" for s in sources if s.provider not in ("hydra", "main", "schema")]
        )
        name, scale = question(arguments)
        if self._all_experiments:
            name = ALL_EXPERIMENTS
        expansions = composer.expansions(name, scale, arguments, seeds=self.config.seeds)
        for note in (*dropped_notes(expansions), *composer.notes(arguments)):
            print(f"note: {note}", file=sys.stderr)
        runs_dir = Path(self.config.runs_dir)
        plan = make_plan(expansions, runs_dir, Path(self.config.results_dir))
        # Before a dry run as well, which must not promise what the sweep would refuse.
        budget = self.config.budget
        end = None if budget is None else end_of(budget, time.time())
        for item in plan:
            if item.done_in is None:
                item.run.model.check_installed()
        if self.config.dry_run:
            print(describe(plan, expansions))
            require_printed()
            raise SystemExit(EXIT_DONE)
        todo = [item for item in plan if item.state == PENDING]
        side_by_side, threads = self._share([item.run for item in todo])
        jobs = {}
        for item in todo:
            own = [f"seed={item.run.seed}", f"runs_dir={spell(str(runs_dir))}"]
            if item.run.threads is None and threads is not None:
                own.append(f"threads={max(1, threads // item.run.processes)}")
            if end is not None:
                own.append(f"budget={spell(spelled(end))}")
            jobs[item.run.run_id] = composer.flatten([*item.cell.overrides, *own])
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=self.task_function, config=self.config
        )

        def launch() -> Launched:
            raised: dict[str, str] = {}
            late: set[str] = set()
            done = 0
            for generation in generations(todo):
                ready = [item for item in generation if not item.is_blocked]
                if ready:
                    mine = [jobs[item.run.run_id] for item in ready]
                    returns = launcher.launch(mine, initial_job_idx=done)
                    raised |= _failures(ready, returns)
                    late |= _not_started(ready, returns)
                done += len(ready)
            return Launched(raised, late)

        raise SystemExit(run_plan(plan, runs_dir, launch, side_by_side))

    def _share(self, runs: Sequence[RunConfig]) -> tuple[int, int | None]:
        """How many runs go side by side, and the threads of each; None leaves the threads to where the run starts."""
        from gnexp.system.hardware import num_cores, will_use_cuda

        assert self.config is not None
        launcher = self.config.hydra.launcher
        kind = OmegaConf.select(self.config, "hydra.runtime.choices.hydra/launcher") or str(launcher._target_)
        if "basic" in kind.lower():
            return 1, None
        if "joblib" not in kind.lower():
            return max(1, len(runs)), None  # a cluster: each run has a machine's cores to itself
        jobs = int(launcher.n_jobs)
        if any(will_use_cuda(run.device) for run in runs) and jobs == -1:
            jobs = 1  # one run has the GPU to itself unless the user asks for more
            with open_dict(launcher):
                launcher.n_jobs = jobs
        processes = max((run.processes for run in runs), default=1)
        if jobs == -1 and processes > 1:
            jobs = max(1, num_cores() // processes)
            with open_dict(launcher):
                launcher.n_jobs = jobs
        side_by_side = jobs if jobs > 0 else max(1, num_cores() + 1 + jobs)
        return side_by_side, max(1, num_cores() // side_by_side)


def _failures(todo: Sequence[Any], returns: Sequence[JobReturn]) -> dict[str, str]:
    """run_id -> what a job raised on its way, for those that never came as far as a trainer."""
    failed: dict[str, str] = {}
    for item, job in zip(todo, returns, strict=False):
        if job.status is JobStatus.FAILED:
            error = job._return_value
            failed[item.run.run_id] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return failed


def _not_started(todo: Sequence[Any], returns: Sequence[JobReturn]) -> set[str]:
    """The run_ids of jobs that found too little of the budget left."""
    from gnexp.system.exit_codes import EXIT_NOT_STARTED

    done = (job.status is JobStatus.COMPLETED and job._return_value == EXIT_NOT_STARTED for job in returns)
    return {item.run.run_id for item, is_late in zip(todo, done, strict=False) if is_late}
