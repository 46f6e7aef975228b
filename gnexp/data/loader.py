"""Which images make which step: order by key, incomplete total batches dropped in training only."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np

from gnexp.data.dataset import Batches, Dataset, Indices
from gnexp.ops import keyed


@dataclass(frozen=True)
class Share:
    """The part of every step that one process takes: process `rank` of `world_size`."""

    rank: int = 0
    world_size: int = 1

    def of_train(self, step: Indices, workers: int) -> Indices:
        """Its workers' images of a total batch: position p belongs to worker p mod workers.

        Of V = workers / world_size workers, position q of the part belongs to the process's worker q mod V.
        """
        per_process = workers // self.world_size
        by_worker = step.reshape(-1, workers)
        return by_worker[:, self.rank * per_process : (self.rank + 1) * per_process].reshape(-1)

    def of_val(self, step: Indices) -> Indices:
        """Every world_size-th image; the parts differ by one image at most, and one may be empty."""
        return step[self.rank :: self.world_size]


def num_steps(dataset: Dataset, total_batch: int) -> int:
    """Steps of one training epoch."""
    return len(_arrange(dataset, np.arange(dataset.num_train), total_batch)) // total_batch


def _arrange(dataset: Dataset, order: Indices, total_batch: int) -> Indices:
    """The order's whole total batches, as the data set puts them together."""
    arrange = getattr(dataset, "arrange", None)
    if arrange is None:
        return order[: len(order) // total_batch * total_batch]
    arranged: Indices = arrange(order, total_batch)
    return arranged


def train_batches(
    dataset: Dataset,
    *,
    seed: int,
    epoch: int,
    total_batch: int,
    workers: int = 1,
    share: Share = Share(),
    first_step: int = 0,
    epoch_steps: int | None = None,
) -> Batches:
    """A process's part of the steps of one epoch, from `first_step` on.

    The images left over by the last complete batch of a pass over them are dropped; which ones varies with the pass.

    Args:
        dataset: whose train split.
        seed: of the order.
        epoch: counted from 0.
        total_batch: images of a step.
        workers: that share a step.
        share: this process's.
        first_step: steps that are done already.
        epoch_steps: of an epoch that is no pass over the images but so many steps of endless passes.
    """
    per_pass = num_steps(dataset, total_batch)
    steps = per_pass if epoch_steps is None else epoch_steps
    done, last = epoch * steps + first_step, (epoch + 1) * steps
    while done < last:
        data_pass, first = divmod(done, per_pass)
        num = min(per_pass - first, last - done)
        part = _pass_batches(dataset, seed, data_pass, total_batch, workers, share, slice(first, first + num))
        with contextlib.closing(part):
            yield from part
        done += num


def _pass_batches(
    dataset: Dataset, seed: int, data_pass: int, total_batch: int, workers: int, share: Share, which: slice
) -> Batches:
    """Some steps of one pass over the images."""
    order = keyed.permutation(seed, "order", data_pass, dataset.num_train)
    steps = _arrange(dataset, order, total_batch).reshape(-1, total_batch)
    return dataset.train_batches(seed, data_pass, [share.of_train(step, workers) for step in steps[which]])


def num_val_steps(dataset: Dataset, size: int, share: Share = Share()) -> int:
    """Steps of one evaluation, the same for every process."""
    return -(-dataset.num_val // (size * share.world_size))


def val_batches(dataset: Dataset, *, size: int, share: Share = Share()) -> Batches:
    """A process's part of val, `size` images at once; all processes together see every image once.

    Where the last step has no image for a process, that process has one batch less.
    """
    whole = np.arange(dataset.num_val)
    stride = size * share.world_size
    parts = [share.of_val(whole[i : i + stride]) for i in range(0, dataset.num_val, stride)]
    return dataset.val_batches([part for part in parts if len(part)])
