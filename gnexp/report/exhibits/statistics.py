"""Means with 95 % t intervals, and Welch's differences of cells.

Written out because scipy is no dependency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gnexp.report.exhibits.student import t_quantile

CONFIDENCE = 0.95
# Below it a cell has no interval: that of two seeds is 12.7 standard errors wide, and where they happen to agree it has
# no width at all, which looks like evidence and is none.
LEAST_SEEDS = 3
_ROUNDING = 1e-9  # points; what is left of equal values after subtractions


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, or a difference of such means. error and degrees are None where a cell has too few seeds."""

    mean: float
    error: float | None  # standard error
    degrees: float | None  # of freedom, of the t interval
    counts: tuple[int, ...]  # seeds of each cell

    @property
    def n(self) -> int:
        """Seeds of the cell that has fewest."""
        return min(self.counts)

    @property
    def half_width(self) -> float | None:
        """Half the 95 % t interval; None where there is none."""
        return self.half_width_at(CONFIDENCE)

    def half_width_at(self, confidence: float) -> float | None:
        """Half the t interval of a confidence; None where there is none."""
        if self.error is None or self.degrees is None:
            return None
        return t_quantile(self.degrees, confidence) * self.error

    @property
    def has_spread(self) -> bool:
        """Whether its interval exists and has a width: seeds that all agree say nothing of how far others would be."""
        return self.error is not None and self.error > _ROUNDING

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval exists, has a width and leaves 0 out: what a worded claim needs."""
        half = self.half_width
        return half is not None and self.has_spread and abs(self.mean) > half


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean and interval of independent values; None where there are none."""
    return contrast([(1, values)])


def difference(of: Sequence[float], minus: Sequence[float]) -> Estimate | None:
    """Mean of one cell minus that of another; None where either has no value. Each has its own variance.

    Seeds are not paired: two cells share an order of the images and nothing else that would move both alike.
    """
    return contrast([(1, of), (-1, minus)])


def contrast(parts: Sequence[tuple[int, Sequence[float]]]) -> Estimate | None:
    """A sum of cells' means with signs, its interval by Welch's standard error and Satterthwaite's degrees of freedom.

    Source: Welch 1947 (Biometrika 34); Satterthwaite 1946 (Biometrics Bulletin 2).
    """
    counts = tuple(len(values) for _, values in parts)
    if not all(counts):
        return None
    mean = math.fsum(sign * math.fsum(values) / len(values) for sign, values in parts)
    if min(counts) < LEAST_SEEDS:
        return Estimate(mean, None, None, counts)
    squares = [variance_of(values) / len(values) for _, values in parts]  # of each standard error
    total = math.fsum(squares)
    below = math.fsum(square**2 / (n - 1) for square, n in zip(squares, counts, strict=True))
    # Where no cell has a spread the interval has no width, whatever the degrees.
    degrees = total**2 / below if below > 0 else float(min(counts) - 1)
    return Estimate(mean, math.sqrt(total), degrees, counts)


def variance_of(values: Sequence[float]) -> float:
    """The unbiased variance of at least two values."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def pooled_std(cells: Sequence[Sequence[float]]) -> float | None:
    """The std within cells, each weighted by its degrees of freedom; None where no cell has two values."""
    degrees = pooled_degrees(cells)
    if not degrees:
        return None
    squares = ((len(values) - 1) * variance_of(values) for values in cells if len(values) > 1)
    return math.sqrt(math.fsum(squares) / degrees)


def pooled_degrees(cells: Sequence[Sequence[float]]) -> int:
    """Degrees of freedom of the std within cells."""
    return sum(max(len(values) - 1, 0) for values in cells)
