"""Intervals against published quantiles and hand-worked numbers."""

from pathlib import Path

import pytest

from gnexp.report.exhibits.measures import ERRORS
from gnexp.report.exhibits.statistics import LEAST_SEEDS, Estimate, estimate, paired, t_quantile
from gnexp.report.exhibits.words import say_contrast, say_effect, say_interval, say_points
from gnexp.report.render.plots import line_of


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


def test_one_seed_or_two_have_no_interval_and_none_has_no_estimate() -> None:
    assert estimate([4.0]) == Estimate(4.0, None, 1)
    assert estimate([4.0, 4.0]) == Estimate(4.0, None, 2)  # they agree by chance: no width is no evidence
    assert paired({0: 1.5, 1: 2.5}, {0: 1.0, 1: 2.0}) == Estimate(0.5, None, 2)
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


def test_two_seeds_have_no_bar() -> None:
    two, three = estimate([1.0, 2.0]), estimate([1.0, 2.0, 3.0])
    assert two is not None and three is not None
    line = line_of("bn", "BN", [(0, two), (1, three)])
    assert (line.low[0], line.high[0]) == (None, None)
    assert line.low[1] is not None and line.high[1] is not None


def test_two_seeds_have_no_interval_in_any_words() -> None:
    two = Estimate(0.3, None, 2)
    told = (say_effect(two), say_interval(two), say_points(two))
    told += (say_contrast(ERRORS.wording, {"of": "A", "minus": "B", "measure": "error"}, two, None),)
    assert told == (
        "+0.3 (n=2)",
        "+0.30 (n=2)",
        "+0.3 points (2 seeds, so no interval and no claim)",
        "A erred 0.3 points more than B (2 seeds, so no interval and no claim).",
    )


def test_the_design_says_from_how_many_seeds_on() -> None:
    """Rules stand in one place, and what the program does is what they say."""
    text = " ".join((Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8").split())
    assert f"From n = {LEAST_SEEDS} on it has a 95 % t interval, below that none" in text


def test_an_interval_that_touches_zero_excludes_nothing() -> None:
    assert not Estimate(0.5, 0.5, 3).excludes_zero
    assert Estimate(-0.6, 0.5, 3).excludes_zero
