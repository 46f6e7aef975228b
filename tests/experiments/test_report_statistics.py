"""Intervals against published quantiles and hand-worked numbers."""

import pytest

from gnexp.experiments.report.statistics import Estimate, estimate, paired, t_quantile


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        # The two-sided 95 % column of the usual table, to the digits it gives.
        (1, 12.706205),
        (2, 4.302653),
        (3, 3.182446),
        (4, 2.776445),
        (5, 2.570582),
        (9, 2.262157),
        (10, 2.228139),
        (29, 2.045230),
        (30, 2.042272),
        (120, 1.979930),
    ],
)
def test_t_quantile_is_the_table_s(degrees: int, expected: float) -> None:
    assert t_quantile(degrees) == pytest.approx(expected, abs=1e-6)


def test_t_quantile_needs_two_seeds() -> None:
    with pytest.raises(ValueError, match="at least 1 degree of freedom"):
        t_quantile(0)


def test_estimate_by_hand() -> None:
    found = estimate([1.0, 2.0, 3.0])  # sd 1, so 4.302653 / sqrt(3)
    assert found is not None
    assert (found.mean, found.n) == (2.0, 3)
    assert found.half_width == pytest.approx(2.484138, abs=1e-6)


def test_one_seed_has_no_interval_and_none_has_no_estimate() -> None:
    assert estimate([4.0]) == Estimate(4.0, None, 1)
    assert estimate([]) is None
    assert not Estimate(4.0, None, 1).excludes_zero


def test_pairing_takes_the_seeds_both_have_and_cancels_what_they_share() -> None:
    # Seeds differ by whole points, the difference does not: only pairing can see it.
    found = paired({0: 11.0, 1: 15.1, 2: 18.9, 7: 99.0}, {0: 10.0, 1: 14.0, 2: 18.0, 8: -5.0})
    assert found is not None
    assert found.n == 3
    assert found.mean == pytest.approx(1.0)
    assert found.half_width == pytest.approx(0.248414, abs=1e-6)
    assert found.excludes_zero


def test_an_interval_that_touches_zero_excludes_nothing() -> None:
    assert not Estimate(0.5, 0.5, 3).excludes_zero
    assert Estimate(-0.6, 0.5, 3).excludes_zero
