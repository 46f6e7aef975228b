"""Which process takes which images."""

import numpy as np
import pytest

from gnexp.data.dataset import Batches, Indices
from gnexp.data.loader import Share, train_batches


class Recording:
    """A data set of 11 images that says which step of which pass was asked for."""

    num_train = 11

    def train_batches(self, seed: int, epoch: int, steps: list[Indices]) -> Batches:
        for step in steps:
            yield epoch, step.tolist()


def test_an_epoch_counted_in_steps_goes_on_through_the_passes() -> None:
    """5 steps of 4 images are two passes and a half, whatever was done before."""
    data = Recording()
    passes = [list(train_batches(data, seed=3, epoch=epoch, total_batch=4)) for epoch in range(6)]
    assert all(len(steps) == 2 for steps in passes)
    endless = [step for steps in passes for step in steps]
    for epoch in (0, 1):
        found = list(train_batches(data, seed=3, epoch=epoch, total_batch=4, epoch_steps=5))
        assert found == endless[5 * epoch : 5 * epoch + 5]
        later = train_batches(data, seed=3, epoch=epoch, total_batch=4, epoch_steps=5, first_step=3)
        assert list(later) == found[3:]


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_workers_keep_their_images_however_they_are_spread(size: int) -> None:
    """Worker w has the positions p with p mod workers = w, in the same order, whichever process holds it."""
    workers, batch = 8, 3
    step = np.arange(100, 100 + workers * batch)
    for rank in range(size):
        part = Share(rank, size).of_train(step, workers)
        held = workers // size
        for own in range(held):
            worker = rank * held + own
            assert part[own::held].tolist() == step[worker::workers].tolist()


@pytest.mark.parametrize("num", [1, 7, 8, 53])
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_evaluation_takes_every_image_once(num: int, size: int) -> None:
    parts = [Share(rank, size).of_val(np.arange(num)) for rank in range(size)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(num))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
