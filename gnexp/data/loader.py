"""Which images make which step: order by key, incomplete total batches dropped in training only."""

from __future__ import annotations

import numpy as np

from gnexp.data.dataset import Batches, Dataset
from gnexp.ops import keyed


def num_steps(dataset: Dataset, total_batch: int) -> int:
    """Steps of one training epoch."""
    return dataset.num_train // total_batch


def train_batches(dataset: Dataset, *, seed: int, epoch: int, total_batch: int) -> Batches:
    """The steps of one epoch. Position p of a batch belongs to worker p mod workers.

    The images left over by the last complete batch are dropped; which ones varies with the epoch.
    """
    order = keyed.permutation(seed, "order", epoch, dataset.num_train)
    steps = order[: num_steps(dataset, total_batch) * total_batch].reshape(-1, total_batch)
    return dataset.train_batches(seed, epoch, list(steps))


def val_batches(dataset: Dataset, *, size: int) -> Batches:
    """Every image of val once; the last batch may be smaller."""
    order = np.arange(dataset.num_val)
    return dataset.val_batches([order[i : i + size] for i in range(0, dataset.num_val, size)])
