"""Keyed randomness: a pure function of its key, uniform, and the same on every machine."""

import numpy as np

from gnexp.ops import keyed


def test_values_are_fixed_for_ever() -> None:
    # A change here would silently change every run; recipe.version would have to rise.
    found = keyed.bits(0, "order", 0, [0, 1], 2).tolist()
    assert found == [
        [13557112147183142587, 10889741237287600928],
        [15327411000581638007, 5711078375230008968],
    ]


def test_a_sample_does_not_depend_on_its_company() -> None:
    together = keyed.uniform(3, "augment", 5, np.arange(100), 4)
    alone = keyed.uniform(3, "augment", 5, [42], 4)
    assert (together[42] == alone[0]).all()


def test_every_part_of_the_key_counts() -> None:
    base = keyed.bits(0, "a", 0, [7])
    others = [
        keyed.bits(1, "a", 0, [7]),
        keyed.bits(0, "b", 0, [7]),
        keyed.bits(0, "a", 1, [7]),
        keyed.bits(0, "a", 0, [8]),
    ]
    assert len({int(base[0, 0]), *(int(other[0, 0]) for other in others)}) == 5


def test_uniform_is_uniform_and_uncorrelated() -> None:
    draws = keyed.uniform(0, "test", 0, np.arange(100_000), 2)
    assert draws.min() >= 0 and draws.max() < 1
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    # chi-square with 19 degrees of freedom: 43.8 is exceeded once in a thousand
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 43.8
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.012
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.012


def test_permutation_holds_every_index_once() -> None:
    order = keyed.permutation(0, "order", 0, 1000)
    assert sorted(order) == list(range(1000))
    assert (order != keyed.permutation(0, "order", 1, 1000)).any()
