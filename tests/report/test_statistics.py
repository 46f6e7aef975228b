"""Intervals against published quantiles, an independent series and hand-worked numbers."""

import math
from pathlib import Path

import pytest

from gnexp.report.exhibits.measures import score_named
from gnexp.report.exhibits.power import Seeds, chi_square_quantile, seeds_by_spread, seeds_for, upper_std
from gnexp.report.exhibits.statistics import (
    LEAST_SEEDS,
    Estimate,
    contrast,
    difference,
    estimate,
    pooled_std,
)
from gnexp.report.exhibits.student import central_probability, t_quantile
from gnexp.report.exhibits.words import say_contrast, say_effect, say_interval, say_points
from gnexp.report.render.plots import line_of

TWO = Estimate(0.3, None, None, (2,))


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


@pytest.mark.parametrize(
    ("degrees", "confidence", "expected"),
    [(4, 0.90, 2.131847), (4, 0.80, 1.533206), (4, 0.60, 0.940965), (30, 0.90, 1.697261), (1, 0.5, 1.0)],
)
def test_other_confidences_are_the_table_s(degrees: int, confidence: float, expected: float) -> None:
    assert t_quantile(degrees, confidence) == pytest.approx(expected, abs=1e-6)


def whole_degrees(angle: float, degrees: int) -> float:
    """P(|T| <= sqrt(degrees) * tan(angle)) as a finite sum. Source: Abramowitz & Stegun, 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2
    term, total = (cosine if is_odd else 1.0), 0.0
    for k in range(is_odd, degrees - 1, 2):
        total += term
        term *= cosine * cosine * (k + 1) / (k + 2)
    return 2 / math.pi * (angle + sine * total) if is_odd else sine * total


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 30, 101])
def test_the_distribution_is_its_finite_sum_at_whole_degrees(degrees: int) -> None:
    for step in range(1, 16):
        angle = step / 16 * math.pi / 2
        assert central_probability(angle, degrees) == pytest.approx(whole_degrees(angle, degrees), abs=1e-12)


@pytest.mark.parametrize("degrees", [2.3, 3.7, 5.5, 12.25])
def test_the_distribution_is_its_integral_between_whole_degrees(degrees: float) -> None:
    """P is the integral of cos^(degrees - 1) up to the angle, over that up to a right angle: by midpoints."""

    def area(to: float, steps: int = 20_000) -> float:
        width = to / steps
        return math.fsum(math.cos((k + 0.5) * width) ** (degrees - 1) for k in range(steps)) * width

    for angle in (0.3, 0.9, 1.4):
        expected = area(angle) / area(math.pi / 2)
        assert central_probability(angle, degrees) == pytest.approx(expected, abs=1e-6)
        t = math.sqrt(degrees) * math.tan(angle)
        assert t_quantile(degrees, expected) == pytest.approx(t, rel=1e-4)


def test_t_quantile_needs_two_seeds_and_a_share() -> None:
    with pytest.raises(ValueError, match="at least 1 degree of freedom"):
        t_quantile(0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        t_quantile(3, 95)


def test_estimate_by_hand() -> None:
    found = estimate([1.0, 2.0, 3.0])  # sd 1, so 4.302653 / sqrt(3)
    assert found is not None
    assert (found.mean, found.n, found.degrees) == (2.0, 3, pytest.approx(2.0))
    assert found.half_width == pytest.approx(2.484138, abs=1e-6)


def test_one_seed_or_two_have_no_interval_and_none_has_no_estimate() -> None:
    assert estimate([4.0]) == Estimate(4.0, None, None, (1,))
    assert estimate([4.0, 4.0]) == Estimate(
        4.0, None, None, (2,)
    )  # they agree by chance: no width is no evidence
    found = difference([1.5, 2.5, 2.0], [1.0, 2.0])
    assert found is not None and (found.mean, found.half_width, found.counts) == (0.5, None, (3, 2))
    assert estimate([]) is None and difference([1.0], []) is None
    assert not TWO.excludes_zero


def test_a_difference_is_welch_s_whatever_the_seeds_share() -> None:
    """Seeds differ by whole points and the difference does not: pairing would see it, and is not what is told."""
    found = difference([11.0, 15.1, 18.9], [10.0, 14.0, 18.0])
    assert found is not None and found.mean == pytest.approx(1.0)
    assert found.half_width is not None and found.half_width > 8 and not found.excludes_zero
    # A published example: Welch's test of two samples (t 2.46, 25.0 degrees of freedom, p 0.021378).
    a = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
    b = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4]
    welch = difference(b, a)
    assert welch is not None and welch.error is not None and welch.degrees is not None
    t = welch.mean / welch.error
    assert (t, welch.degrees) == (pytest.approx(2.46, abs=0.005), pytest.approx(25.0, abs=0.05))
    angle = math.atan(t / math.sqrt(welch.degrees))
    assert 1 - central_probability(angle, welch.degrees) == pytest.approx(0.021378, abs=1e-6)


def test_a_contrast_of_four_cells_by_hand() -> None:
    cells = [[1.0, 2.0, 3.0], [0.0, 4.0, 8.0, 4.0], [5.0, 5.0, 5.0], [7.0, 8.0, 9.0]]
    found = contrast(list(zip((1, -1, -1, 1), cells, strict=True)))
    assert found is not None
    assert (found.mean, found.counts, found.n) == (2 - 4 - 5 + 8, (3, 4, 3, 3), 3)
    squares = [1 / 3, (32 / 3) / 4, 0.0, 1 / 3]
    assert found.error == pytest.approx(math.sqrt(sum(squares)))
    below = sum(square**2 / (len(cell) - 1) for square, cell in zip(squares, cells, strict=True))
    assert found.degrees == pytest.approx(sum(squares) ** 2 / below)


def test_seeds_that_all_agree_claim_nothing() -> None:
    """Both cells without a spread: an interval of no width, which excludes everything and is no evidence."""
    found = difference([5.0, 5.0, 5.0], [4.0, 4.0, 4.0])
    assert found is not None and (found.mean, found.half_width) == (1.0, 0.0)
    assert not found.has_spread and not found.excludes_zero
    one = difference([9.0, 9.0, 9.0], [1.0, 2.0, 3.0])  # the other's spread is enough
    assert one is not None and one.degrees == pytest.approx(2.0) and one.excludes_zero


def test_pooled_std_weighs_cells_by_their_degrees() -> None:
    assert pooled_std([[1.0], [], [2.0]]) is None
    assert pooled_std([[1.0, 3.0], [5.0], [1.0, 2.0, 3.0]]) == pytest.approx(math.sqrt((2 + 2) / 3))


@pytest.mark.parametrize(
    ("effect", "std", "num_cells", "is_equivalence", "expected"),
    [
        # Two groups, two-sided 5 %, 80 % power: Cohen's table has 17, 26, 64 for d = 1, 0.8, 0.5.
        (1.0, 1.0, 2, False, 17),
        (-0.8, 1.0, 2, False, 26),
        (0.5, 1.0, 2, False, 64),
        (1.5, 1.0, 2, False, 9),
        (6.0, 3.0, 2, False, 6),
        (10.0, 1.0, 2, False, 3),  # never fewer than an interval needs
        # Two one-sided tests with a margin of one std: z gives 2 * (1.645 + 1.282)^2 = 17.1, t one or two more.
        (1.0, 1.0, 2, True, 18),
        (1.0, 1.0, 4, False, 32),
        (0.0, 1.0, 2, False, None),
        (1.0, 0.0, 2, False, None),
        (1e-6, 5.0, 2, False, None),
    ],
)
def test_seeds_that_would_decide(
    effect: float, std: float, num_cells: int, is_equivalence: bool, expected: int | None
) -> None:
    assert seeds_for(effect, std, num_cells, is_equivalence=is_equivalence) == expected


@pytest.mark.parametrize(
    ("degrees", "share", "expected"),
    # The usual table of chi square, to the digits it gives.
    [
        *((1, 0.2, 0.0642), (2, 0.2, 0.446), (3, 0.2, 1.005), (5, 0.2, 2.343), (10, 0.2, 6.179)),
        *((30, 0.2, 23.364), (100, 0.2, 87.945), (4, 0.05, 0.711), (10, 0.95, 18.307)),
    ],
)
def test_the_quantiles_of_chi_square(degrees: int, share: float, expected: float) -> None:
    assert chi_square_quantile(degrees, share) == pytest.approx(expected, abs=6e-4)


def test_quantiles_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="needs at least 1 degree of freedom"):
        chi_square_quantile(0, 0.2)
    with pytest.raises(ValueError, match="a share lies between 0 and 1, got 1"):
        chi_square_quantile(3, 1.0)


def test_a_std_of_few_seeds_may_be_larger() -> None:
    assert upper_std(1.0, 2) == pytest.approx(math.sqrt(2 / 0.446), abs=2e-3)
    assert upper_std(2.0, 100) == pytest.approx(2 * math.sqrt(100 / 87.945), abs=1e-4)
    # Cells of std 1 with 4 degrees of freedom each, so 8: chi square of a fifth is 4.594, the bound 1.3196.
    cells = [[0.0, 0.5, 1.0, 1.5, 2.0], [3.0, 3.5, 4.0, 4.5, 5.0]]
    scaled = [[value / math.sqrt(0.625) for value in values] for values in cells]
    assert seeds_by_spread(1.0, scaled, 2) == Seeds(17, seeds_for(1.0, 1.3196, 2)) == Seeds(17, 29)
    assert seeds_by_spread(1.0, [[1.0], []], 2) == Seeds(None, None)
    assert seeds_by_spread(1.0, [[1.0, 1.0], [2.0]], 2) == Seeds(None, None)  # no spread was seen


def test_two_seeds_have_no_bar() -> None:
    two, three = estimate([1.0, 2.0]), estimate([1.0, 2.0, 3.0])
    assert two is not None and three is not None
    line = line_of("bn", "BN", [(0, two), (1, three)])
    assert (line.low[0], line.high[0]) == (None, None)
    assert line.low[1] is not None and line.high[1] is not None


def test_two_seeds_have_no_interval_in_any_words() -> None:
    told = (say_effect(TWO), say_interval(TWO), say_points(TWO))
    told += (
        say_contrast(score_named("error").wording, {"of": "A", "minus": "B", "measure": "error"}, TWO, None),
    )
    assert told == (
        "+0.3 (n=2)",
        "+0.30 (n=2)",
        "+0.3 points (2 seeds, so no interval and no claim)",
        "A erred 0.3 points more than B (2 seeds, so no interval and no claim).",
    )


def test_cells_of_different_n_say_both() -> None:
    found = difference([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    assert found is not None
    assert say_effect(found).endswith("(n=3 to 5)") and say_points(found).endswith(", 3 to 5 seeds)")


def test_the_design_says_from_how_many_seeds_on() -> None:
    """Rules stand in one place, and what the program does is what they say."""
    text = " ".join((Path(__file__).parents[2] / "docs" / "design.md").read_text(encoding="utf-8").split())
    assert f"From n = {LEAST_SEEDS} on it has a 95 % t interval, below that none" in text


def test_an_interval_that_touches_zero_excludes_nothing() -> None:
    for mean, excludes in ((1.0, False), (-1.1, True)):
        half = Estimate(1.0, 1.0, 2.0, (3,)).half_width
        assert half is not None
        assert Estimate(mean * half, 1.0, 2.0, (3,)).excludes_zero is excludes
