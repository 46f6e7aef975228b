"""A run: all that a command line chooses, and its identity."""

from __future__ import annotations

import hashlib
import json
import re
import typing
from dataclasses import dataclass, field
from typing import Any

from gnexp.config.data import DataConfig, data_config
from gnexp.config.fields import (
    FILE_HASH,
    check,
    hardware_field,
    require,
    require_finite,
    science,
    science_field,
)
from gnexp.config.kinds import build
from gnexp.config.layouts import LAYOUTS
from gnexp.config.model import ModelConfig, model_config
from gnexp.config.norm import NormConfig, norm_config
from gnexp.config.recipe import RecipeConfig
from gnexp.config.task import DETECTION, TaskConfig


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: a cell of a grid and a seed, with the hardware choices that carry it out."""

    norm: NormConfig = field(default_factory=norm_config)
    model: ModelConfig = field(default_factory=model_config)
    data: DataConfig = field(default_factory=data_config)
    task: TaskConfig = field(default_factory=TaskConfig)
    recipe: RecipeConfig = field(default_factory=RecipeConfig)
    batch: int = science_field(
        32,
        title="images per worker",
        left_open={
            DETECTION: " (the prose says 1 image per worker, the published configurations 2)",
        },
    )
    workers: int = science_field(8, ge=1, title="workers")
    seed: int = science_field(0, title="which everything random follows from")
    # None or fp32 = float32, as the paper has it; tf32 = what a GPU makes of it by default; bf16 | fp16 = autocast
    precision: str | None = science_field(
        None, title="precision of the arithmetic", choices=("fp32", "tf32", "bf16", "fp16")
    )
    # weights to start from; as hashed the run_id that made them, or sha256:HEX of their file
    init: str | None = science_field(None, title="weights to start from: a finished run's, or a file's")
    # of a file for pixels of 0 to 255 in BGR; found from files that are known. It says what data.mean is
    init_layout: str | None = science_field(
        None, title="whose pixels those weights are for, if not normalized RGB", choices=tuple(LAYOUTS)
    )
    init_path: str | None = hardware_field(None, title="where those weights lie; found from init")
    scale: str = hardware_field("demo")  # a name; what it chose is in the other fields
    device: str = hardware_field("auto", title="where it runs, or cuda:N", offered=("auto", "cpu", "cuda"))
    # None = what the launcher leaves free
    threads: int | None = hardware_field(None, ge=1, title="threads of one process")
    memory_format: str = hardware_field(
        "auto", title="order of the axes in memory", choices=("auto", "contiguous", "channels_last")
    )
    compile: bool = hardware_field(False, title="torch.compile of the training step's model")
    processes: int = hardware_field(
        1, ge=1, title="processes that share the workers; those of srun or an outer torchrun are taken"
    )
    # None = all of them; of a detector 1, unless its images are padded alike and no norm is over a worker
    workers_per_pass: int | None = hardware_field(
        None, ge=1, title="of a process's workers at once, to fit memory; else all"
    )
    checkpoint_minutes: float = hardware_field(
        10.0, ge=0, title="between two checkpoints within an epoch; 0 = every step", unit="minutes"
    )
    peer_timeout: float = hardware_field(
        300.0, gt=0, title="that processes wait for one that does not answer", unit="seconds"
    )

    def __post_init__(self) -> None:
        require_finite(self)
        require(self.batch >= 1, f"batch must be at least 1 image per worker, got {self.batch}")
        check(self, "")
        self._check_processes()
        require(
            self.init is None
            or re.fullmatch(rf"[0-9a-f]{{12}}|{FILE_HASH}[0-9a-f]{{64}}", self.init) is not None,
            f"init must be a run_id or {FILE_HASH}HEX once it is resolved, got {self.init}",
        )
        self._check_layout()
        require(0 <= self.seed < 2**63, f"seed must not be negative or above 2^63 - 1, got {self.seed}")
        require(
            self.device in ("auto", "cpu", "cuda") or self.device.removeprefix("cuda:").isdigit(),
            f"device must be auto, cpu, cuda or cuda:N, got {self.device}",
        )
        if self.precision == "fp32":
            object.__setattr__(self, "precision", None)  # before any hash: spelled out it is the same run
        # Resolved here, before any hash, so that what is spelled out and what stands for it are one run.
        norm = self.norm.resolved(self.model.default_num_groups)
        object.__setattr__(self, "norm", norm)
        object.__setattr__(
            self, "model", self.model.resolved(norm, is_without_masks=self.data.is_without_masks)
        )
        object.__setattr__(self, "recipe", self.recipe.resolved(has_test=self.task.has_test))
        resident = next((one for one in self.norms if one.needs_resident_workers), None)
        if resident is not None:
            self._check_resident(resident)
        elif self.model.is_one_worker_a_pass and not self._is_shared_pass_exact:
            require(
                self.workers_per_pass in (None, 1),
                "a detector takes one worker at a time, since its losses are means over the RoIs of a pass and those "
                f"of several workers cannot be told apart: leave workers_per_pass at 1, got {self.workers_per_pass}",
            )
            object.__setattr__(self, "workers_per_pass", 1)

    @property
    def _is_shared_pass_exact(self) -> bool:
        """Whether a detector's worker computes the same beside others: nothing is taken over it, nor padded to them."""
        return self.data.is_padded_alike and all(one.statistics_over != "worker" for one in self.norms)

    def _check_layout(self) -> None:
        if self.init_layout is None:
            return
        require(
            self.init is not None and self.init.startswith(FILE_HASH),
            f"init_layout says what pixels a file of weights is for: give init=FILE, or leave it out, got {self.init}",
        )
        require(
            self.data.channels == 3,
            f"init_layout={self.init_layout} is for images of 3 channels, data={self.data.name} has "
            f"{self.data.channels}",
        )
        mean = LAYOUTS[self.init_layout].mean
        require(
            tuple(self.data.mean) == mean,
            f"data.mean must be the one that init_layout={self.init_layout} is for, {list(mean)}, got "
            f"{list(self.data.mean)}; leave it out",
        )

    def _check_processes(self) -> None:
        require(
            self.workers % self.processes == 0,
            f"processes must divide workers={self.workers} evenly, got {self.processes}",
        )
        require(
            self.workers_per_pass is None or self.virtual_workers % self.workers_per_pass == 0,
            f"workers_per_pass must divide the {self.virtual_workers} workers of a process evenly, "
            f"got {self.workers_per_pass}",
        )

    def _check_resident(self, norm: NormConfig) -> None:
        """Takes all of a process's workers in one pass, for a norm whose statistics go over all of them."""
        require(
            self.workers_per_pass in (None, self.virtual_workers),
            f"norm {norm.word} takes its statistics over all workers of a step, so that no pass can hold some of them: "
            f"leave workers_per_pass at null, which is the {self.virtual_workers} workers of a process, "
            f"got {self.workers_per_pass}; if memory is short, raise processes",
        )
        object.__setattr__(self, "workers_per_pass", None)
        other = next((one for one in self.norms if one.statistics_over == "worker"), None)
        require(
            other is None or not self.model.is_one_worker_a_pass,
            f"a detector with {norm.word} at one site takes all workers in one pass, where {other and other.word} at "
            "another cannot tell the RoIs of several workers apart; choose one of them for both",
        )

    @property
    def virtual_workers(self) -> int:
        """Workers that one process holds."""
        return self.workers // self.processes

    @property
    def norms(self) -> list[NormConfig]:
        """Every norm of the network: the backbone's first, then those of a detector's sites."""
        return [self.norm, *self.model.norms]

    @property
    def total_batch(self) -> int:
        """Images per step, over all workers."""
        return self.batch * self.workers

    @property
    def lr(self) -> float:
        """Initial learning rate: 0.1 * N / 32 of Section 4.1 at 8 workers, generalised to any number of workers."""
        return self.recipe.base_lr * self.total_batch / self.recipe.base_total_batch

    @property
    def run_id(self) -> str:
        """First 12 hex digits of the sha256 of the canonical JSON of the science."""
        text = json.dumps(science(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def label(self) -> str:
        """Readable half of the run directory's name, from resolved fields only."""
        return f"{self.data.name}-{self.model.label}-{self.norm.label}-batch{self.batch}-seed{self.seed}"


def from_dict(values: dict[str, Any]) -> RunConfig:
    """Builds a RunConfig from plain values (a composed config or a spec.json).

    Raises:
        ValueError: an unknown key, or a cross-field check that fails.
    """
    return typing.cast(RunConfig, build(RunConfig, values))
