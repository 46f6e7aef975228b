"""Which process takes which images."""

import numpy as np
import pytest

from gnexp.data.loader import Share


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
