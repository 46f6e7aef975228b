"""What each process of a group runs for test_processes.py.

Trains small networks for some steps and saves, in the first process, what a checkpoint would hold.
"""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from gnexp.config import RecipeConfig, RunConfig, data_config, model_config, norm_config
from gnexp.data.build import build_dataset
from gnexp.data.dataset import Batch, Batches
from gnexp.engine.evaluate import evaluate
from gnexp.engine.processes import Processes, joined
from gnexp.engine.state import State, build
from gnexp.engine.train import StepRecord, train
from gnexp.nn.statistics import EVAL_STATS

CPU = torch.device("cpu")
STEPS = 6
MORE_STEPS = {"sync_bn": 20}  # of those whose processes exchange statistics
NORMS = {
    "bn": norm_config(kind="bn", momentum=0.1),
    # Its ramp is passed within the steps.
    "brn": norm_config(kind="brn", momentum=0.1, r_max=1.5, d_max=0.5, renorm_ramp=(0.1, 0.4, 0.7)),
    "sync_bn": norm_config(kind="sync_bn", momentum=0.1),
    "gn": norm_config(num_groups=4),
}
RUN = RunConfig(
    model=model_config(widths=(8, 8, 16, 16)),
    # Augmented: flipped and shifted. 53 images of val divide over no number of processes.
    data=data_config(exposure=1.0, clutter=0, num_train=16 * (STEPS + 2) + 5, num_val=53, shift=2),
    recipe=RecipeConfig(epochs=3, base_lr=0.2, report_epochs=1),
    batch=2,
    workers=8,
)
FOREIGN = model_config(kind="torchvision", arch="mobilenet_v3_small")  # which has a dropout
ADAMW = RecipeConfig(epochs=3, base_lr=0.02, report_epochs=1, optimizer="adamw", schedule="cosine")


def doubled(batches: Callable[..., Batches]) -> Callable[..., Batches]:
    """A data set's method, in float64."""

    def generate(*arguments: Any) -> Batches:
        yield from map(double, batches(*arguments))

    return generate


def double(batch: Batch) -> Batch:
    if isinstance(batch.images, torch.Tensor):
        return dataclasses.replace(batch, images=batch.images.double())
    labels = [{**target, "boxes": target["boxes"].double()} for target in batch.labels]  # of detection
    return dataclasses.replace(batch, images=[image.double() for image in batch.images], labels=labels)


def build_as(run: RunConfig, processes: Processes, dtype: torch.dtype) -> State:
    if dtype == torch.float32:
        return build(run, CPU, processes)
    dataset: Any = build_dataset(run.data, CPU)  # whose images are of float32
    dataset.train_batches, dataset.val_batches = map(doubled, (dataset.train_batches, dataset.val_batches))
    torch.set_default_dtype(torch.float64)
    try:
        state = build(run, CPU, processes)
    finally:
        torch.set_default_dtype(torch.float32)
    state.dataset = dataset
    return state


def first_steps(state: State, num: int) -> Iterator[StepRecord]:
    yield from itertools.islice((record for record in train(state) if isinstance(record, StepRecord)), num)


def trained(norm: str, processes: Processes, dtype: torch.dtype, num: int, **changes: Any) -> dict[str, Any]:
    """What a run holds after some steps, and its scores; every process gets it."""
    run = dataclasses.replace(RUN, norm=NORMS[norm], processes=processes.world_size, **changes)
    state = build_as(run, processes, dtype)
    losses = [record.loss for record in first_steps(state, num)]
    scores = evaluate(state, EVAL_STATS, epoch=1)
    return {"state": state.state_dict(), "losses": losses, "scores": scores}


def all_of_them(processes: Processes) -> dict[str, Any]:
    found = {}
    for norm in NORMS:
        found[f"{norm} float64"] = trained(norm, processes, torch.float64, MORE_STEPS.get(norm, STEPS))
        if processes.world_size <= 2:
            found[f"{norm} float32"] = trained(norm, processes, torch.float32, 1)
    if processes.world_size > 2:
        return found
    found["foreign float64"] = trained("gn", processes, torch.float64, 3, model=FOREIGN)
    found["adamw float64"] = trained("bn", processes, torch.float64, STEPS, recipe=ADAMW)
    return found


def main(out: Path) -> None:
    torch.set_num_threads(1)
    size = int(os.environ["WORLD_SIZE"])
    with joined(dataclasses.replace(RUN, processes=size), CPU) as processes:
        found = all_of_them(processes)
        if processes.is_first:
            torch.save(found, out)
