"""What training changes and what it needs beside it: built from a config, saved and restored."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from torch import nn

from gnexp.config import RunConfig
from gnexp.data.build import build_dataset
from gnexp.data.dataset import Dataset
from gnexp.data.loader import num_steps
from gnexp.engine.device import memory_format, norm_impl, set_float32
from gnexp.engine.optimizer import build_optimizer
from gnexp.engine.processes import ALONE, Processes
from gnexp.nn.peers import Peers
from gnexp.nn.statistics import batch_norms
from gnexp.nn.sync_batch_norm import sync_norms
from gnexp.tasks.build import build_task
from gnexp.tasks.task import Task

_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(kw_only=True)
class State:
    """All that training changes, and what it needs beside it."""

    run: RunConfig
    task: Task
    dataset: Dataset
    model: nn.Module
    replica: (
        nn.Module
    )  # the model as a training step calls it: compiled, gradients averaged over the processes
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device
    processes: Processes
    pass_steps: int  # steps of a pass over the images
    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps of the next one; all of them while its evaluation is still to come
    loss_sum: float = 0.0  # over the images of those steps
    score_sum: float = 0.0
    train_seconds: float = 0.0  # that they took
    probed_at_start: dict[str, float] = field(default_factory=dict)  # for the first epoch's record

    @property
    def num_steps(self) -> int:
        """Steps of an epoch."""
        return self.run.recipe.epoch_steps or self.pass_steps

    @property
    def data_pass(self) -> int:
        """Which pass over the images the next step belongs to: the epoch, unless the recipe counts in steps."""
        if self.run.recipe.epoch_steps is None:
            return self.epoch
        return (self.epoch * self.num_steps + self.step) // self.pass_steps

    def autocast(self) -> torch.autocast:
        """The context of every forward pass."""
        dtype = _PRECISIONS.get(self.run.precision or "")
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint holds; nothing random is in it, since every draw is keyed.

        Every process calls it: the running statistics of all workers come together.
        """
        return {
            "model": self.model_state(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "position": {name: getattr(self, name) for name in _POSITION},
            "probed_at_start": dict(self.probed_at_start),
        }

    def model_state(self) -> dict[str, torch.Tensor]:
        """The model's weights, with running statistics (workers, C) of all workers. Every process calls it."""
        state = self.model.state_dict()
        for name in _worker_rows(self.model):
            state[name] = self.processes.gather_rows(state[name])
        return state

    def load_state_dict(self, saved: dict[str, object]) -> None:
        """Goes back to a checkpoint, of any number of processes; the checkpoint itself stays as it is."""
        self.load_model_state(saved["model"])  # type: ignore[arg-type]
        # torch's optimizer would take the very tensors of the momentum, and the next steps would write into them.
        self.optimizer.load_state_dict(copy.deepcopy(saved["optimizer"]))  # type: ignore[arg-type]
        self.scaler.load_state_dict(saved["scaler"])  # type: ignore[arg-type]
        probed = saved.get("probed_at_start", {})  # an older checkpoint has none
        assert isinstance(probed, dict)
        self.probed_at_start = probed
        position = saved["position"]
        assert isinstance(position, dict)
        for name in _POSITION:
            setattr(self, name, position[name])

    def load_model_state(self, weights: dict[str, torch.Tensor]) -> None:
        """Takes weights with running statistics of all workers; this process keeps its own workers' rows."""
        per_process, rank = self.run.virtual_workers, self.processes.rank
        own = {name: weights[name] for name in weights}
        for name in _worker_rows(self.model):
            own[name] = weights[name][rank * per_process : (rank + 1) * per_process]
        self.model.load_state_dict(own)


_POSITION = ("epoch", "step", "loss_sum", "score_sum", "train_seconds")


def _worker_rows(model: nn.Module) -> list[str]:
    """Names of the buffers that have one row a worker."""
    norms = {id(norm) for norm in batch_norms(model)}
    return [
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if id(module) in norms
        for name, buffer in module.named_buffers(recurse=False)
        if buffer.dim() == 2
    ]


def build(
    run: RunConfig, device: torch.device, processes: Processes = ALONE, *, val_only: bool = False
) -> State:
    """Builds model, data and optimizer of a run, at its start.

    Args:
        run: what is built.
        device: where.
        processes: that share the run.
        val_only: the model is to be evaluated alone, so that the data may have no training images.

    Raises:
        ValueError: something in the config cannot be built; found before any image is read or generated.
    """
    task = build_task(run.task)
    norm_impl(run, device)
    check_shapes(run, task)
    set_float32(run)
    # All of a run's processes draw the same weights: nothing of them depends on how the workers are spread.
    model = task.build_model(run, torch.Generator().manual_seed(run.seed)).to(device)
    model = model.to(memory_format=memory_format(run, device))
    for norm in sync_norms(model):
        norm.peers = processes.peers
    dataset = build_dataset(run.data, device, val_only=val_only)
    # once: a data set arranges its images to count them
    pass_steps = 1 if val_only else num_steps(dataset, run.total_batch)
    if pass_steps == 0:
        kinds = getattr(dataset, "kinds", None)
        which = f" that are all {' or all '.join(kinds)}" if kinds else ""
        there = " and ".join(f"{num} {kind}" for kind, num in kinds.items()) if kinds else dataset.num_train
        raise ValueError(
            f"a training epoch needs at least batch * workers = {run.total_batch} images{which}, "
            f"data={run.data.name} has {there}; lower batch or workers"
        )
    replica = processes.replicate(model, device)
    if run.compile:
        replica = torch.compile(replica)  # type: ignore[assignment]
    return State(
        run=run,
        task=task,
        dataset=dataset,
        model=model,
        replica=replica,
        optimizer=build_optimizer(model, run),
        scaler=torch.amp.GradScaler(device.type, enabled=run.precision == "fp16"),
        device=device,
        processes=processes,
        pass_steps=pass_steps,
    )


def check_shapes(run: RunConfig, task: Task) -> None:
    """Has one pass's shapes go through the model on the meta device, without memory or arithmetic.

    Raises:
        ValueError: a norm is unsupported on a layer, or has one value to normalize there.
    """
    with torch.device("meta"), torch.no_grad():
        model = task.build_model(run, torch.Generator()).train()
        at_once = run.workers_per_pass or run.virtual_workers
        for norm in batch_norms(model):
            norm.take_workers(slice(0, at_once))
        for norm in sync_norms(model):
            norm.peers = Peers(world_size=run.processes)
        task.trace(model, run, run.batch * at_once)
