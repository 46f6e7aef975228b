"""How many seeds would decide a question: by the spread that was found, and by what it may be at most.

A spread of a few seeds is itself uncertain: pooled over two cells of two it may as well be twice as large. So n is
named for the pooled std and for its upper 80 % bound.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gnexp.report.exhibits.statistics import CONFIDENCE, LEAST_SEEDS, pooled_degrees, pooled_std
from gnexp.report.exhibits.student import t_quantile

POWER = 0.8  # that a decision is asked for with
BOUND = 0.8  # one-sided confidence of the bound of a std
_MOST_SEEDS = 100_000  # above it no number of seeds is named


@dataclass(frozen=True)
class Seeds:
    """Seeds per cell with 80 % power; None where there is no such number, or too large a one."""

    needed: int | None  # if the std is the pooled one
    at_most: int | None  # if it is as large as its upper 80 % bound


def seeds_by_spread(
    effect: float, cells: Sequence[Sequence[float]], num_cells: int, *, is_equivalence: bool = False
) -> Seeds:
    """Seeds per cell by the spread within cells, which need not be those of the contrast.

    Args:
        effect: as seeds_for.
        cells: values of the seeds of each.
        num_cells: of the contrast.
        is_equivalence: as seeds_for.
    """
    std = pooled_std(cells)
    if std is None:
        return Seeds(None, None)
    stds = std, upper_std(std, pooled_degrees(cells))
    return Seeds(*(seeds_for(effect, value, num_cells, is_equivalence=is_equivalence) for value in stds))


def upper_std(std: float, degrees: int, confidence: float = BOUND) -> float:
    """The upper bound of a std that was found with some degrees of freedom: one-sided, of normal values."""
    return std * math.sqrt(degrees / chi_square_quantile(degrees, 1 - confidence))


def seeds_for(effect: float, std: float, num_cells: int, *, is_equivalence: bool = False) -> int | None:
    """Seeds per cell for 80 % power, two-sided at 5 %; None where there is no such number.

    Args:
        effect: to be seen, in points; of an equivalence its margin, for a true difference of 0.
        std: within a cell, in points.
        num_cells: of the contrast.
        is_equivalence: two one-sided tests at 5 % rather than one two-sided test.
    """
    if effect == 0 or std <= 0:
        return None
    is_enough = functools.partial(_is_enough, abs(effect), std, num_cells, is_equivalence)
    low, high = LEAST_SEEDS, LEAST_SEEDS
    while not is_enough(high):
        low, high = high + 1, 2 * high
        if low > _MOST_SEEDS:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle + 1, high)
    return low


def _is_enough(effect: float, std: float, num_cells: int, is_equivalence: bool, n: int) -> bool:
    """Whether n seeds per cell have the power: the effect spans the test's quantile and the power's."""
    degrees = float(num_cells * (n - 1))
    error = std * math.sqrt(num_cells / n)
    # Both one-sided tests have to pass, so each may fail half as often.
    miss = 1 - POWER
    test, power = (1 - 2 * (1 - CONFIDENCE), 1 - miss) if is_equivalence else (CONFIDENCE, 1 - 2 * miss)
    return effect >= (t_quantile(degrees, test) + t_quantile(degrees, power)) * error


@functools.cache
def chi_square_quantile(degrees: int, share: float) -> float:
    """The x with P(chi square <= x) = share at `degrees` degrees of freedom.

    Raises:
        ValueError: no degree of freedom, or a share that is none.
    """
    if degrees < 1:
        raise ValueError(f"a chi square needs at least 1 degree of freedom (2 seeds), got {degrees}")
    if not 0 < share < 1:
        raise ValueError(f"a share lies between 0 and 1, got {share}")
    low, high = 0.0, 1.0
    while _lower_gamma(degrees / 2, high / 2) < share:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _lower_gamma(degrees / 2, middle / 2) < share else (low, middle)
    return high


def _lower_gamma(a: float, x: float) -> float:
    """The regularised incomplete gamma function P(a, x), by its series. Source: Abramowitz & Stegun, 6.5.29."""
    if x <= 0:
        return 0.0
    term = total = 1 / a
    divisor = a
    while term > 1e-17 * total:
        divisor += 1
        term *= x / divisor
        total += term
    return min(total * math.exp(a * math.log(x) - x - math.lgamma(a)), 1.0)
