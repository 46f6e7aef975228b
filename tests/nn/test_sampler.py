"""Keyed sampling: what torchvision's sampler chooses from, chosen by key."""

import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from gnexp.nn.sampler import KeyedSampler
from gnexp.nn.step import Step, step_listeners

LABELS = [
    torch.tensor([0.0] * 60 + [1.0] * 30 + [-1.0] * 10),
    torch.tensor([3, 0, 0, -1, 2]),
    torch.zeros(100),
    torch.tensor([], dtype=torch.int64),
]


def sample(
    labels: list[torch.Tensor], indices: list[int], *, seed: int = 0, epoch: int = 0, stream: str = "a"
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    sampler = KeyedSampler(16, 0.25, stream=stream)
    assert step_listeners(sampler) == [sampler]
    sampler.begin_step(Step(seed, epoch, float(epoch), np.array(indices)))
    return sampler(labels)


def test_it_chooses_as_many_of_each_as_torchvisions_and_of_the_same() -> None:
    ours, theirs = sample(LABELS, [0, 1, 2, 3]), BalancedPositiveNegativeSampler(16, 0.25)(LABELS)
    for of_ours, of_theirs, is_allowed in zip(
        ours, theirs, (lambda x: x >= 1, lambda x: x == 0), strict=True
    ):
        assert [int(m.sum()) for m in of_ours] == [int(m.sum()) for m in of_theirs]
        assert [m.shape for m in of_ours] == [m.shape for m in of_theirs]
        assert all(bool(is_allowed(x)[m].all()) for x, m in zip(LABELS, of_ours, strict=True))


def test_what_is_chosen_belongs_to_the_image() -> None:
    """Neither the order nor the number of passes changes it."""
    labels = [LABELS[0], LABELS[2], LABELS[0]]
    together = sample(labels, [5, 3, 8])
    turned = sample([LABELS[0], LABELS[0], LABELS[2]], [8, 5, 3])
    passes = sample(labels[:2], [5, 3]), sample(labels[2:], [8])
    for kind in (0, 1):
        for found in (
            [turned[kind][1], turned[kind][2], turned[kind][0]],
            passes[0][kind] + passes[1][kind],
        ):
            assert all(torch.equal(a, b) for a, b in zip(together[kind], found, strict=True))
    assert not torch.equal(together[1][0], together[1][2]), "two images of the same candidates"


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"indices": [8]}, {"stream": "b"}], ids=str)
def test_every_part_of_the_key_counts(change: dict[str, object]) -> None:
    first, other = (sample(LABELS[2:3], **{"indices": [7], **c}) for c in ({}, change))  # type: ignore[arg-type]
    assert int((first[1][0] & other[1][0]).sum()) < 10


def test_every_candidate_is_as_likely() -> None:
    counts = sum(sample(LABELS[2:3], [index])[1][0].double() for index in range(1000))
    assert isinstance(counts, torch.Tensor)
    assert float(counts.mean()) == 160 and float(counts.min()) > 90 and float(counts.max()) < 230
    chi_square = float(((counts - 160) ** 2 / (160 * (1 - 0.16))).sum())
    assert 60 < chi_square < 150  # 99 degrees of freedom


def test_the_choice_is_fixed_for_ever() -> None:
    # A change here would silently change every detector's run; recipe.version would have to rise.
    found = sample(LABELS[2:3], [0])[1][0].nonzero().flatten().tolist()
    assert found == [7, 10, 13, 14, 21, 24, 30, 32, 37, 60, 61, 69, 82, 83, 92, 96]


def test_no_global_randomness_is_used() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
    sample(LABELS, [0, 1, 2, 3])
    assert torch.equal(before, torch.get_rng_state())
    assert (numpys == np.random.get_state()[1]).all()


def test_without_the_right_step_it_says_so() -> None:
    with pytest.raises(AssertionError, match="begin_step must come before"):
        KeyedSampler(16, 0.25, stream="a")(LABELS)
    with pytest.raises(AssertionError, match="told of 1 images, got a batch of 4"):
        sample(LABELS, [0])
