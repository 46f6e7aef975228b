"""Means with 95 % t intervals, and differences paired by seed.

Written out because scipy is no dependency; for whole degrees of freedom Student's distribution is a finite sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

CONFIDENCE = 0.95
# Below it a cell has no interval: that of two seeds is 12.7 standard errors wide, and where they happen to agree it has
# no width at all, which looks like evidence and is none.
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds. half_width is that of the 95 % t interval, None below LEAST_SEEDS seeds."""

    mean: float
    half_width: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval exists and leaves 0 out: what a worded claim needs."""
        return self.half_width is not None and abs(self.mean) > self.half_width


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean and interval of independent values; None where there are none."""
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n < LEAST_SEEDS:
        return Estimate(mean, None, n)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Estimate(mean, t_quantile(n - 1) * math.sqrt(variance / n), n)


def paired(of: Mapping[int, float], minus: Mapping[int, float]) -> Estimate | None:
    """Mean of the differences seed by seed, over the seeds that both sides have."""
    return estimate(list(subtract(of, minus).values()))


def subtract(of: Mapping[int, float], minus: Mapping[int, float]) -> dict[int, float]:
    """Seed -> difference, of the seeds that both sides have: what a difference of differences is paired by."""
    return {seed: of[seed] - minus[seed] for seed in sorted(of.keys() & minus.keys())}


@cache
def t_quantile(degrees: int) -> float:
    """The t with P(|T| <= t) = 0.95 at `degrees` degrees of freedom.

    Raises:
        ValueError: fewer than one degree of freedom.
    """
    if degrees < 1:
        raise ValueError(f"a t interval needs at least 1 degree of freedom (2 seeds), got {degrees}")
    low, high = 0.0, math.pi / 2
    for _ in range(100):  # bisection on the angle, which is bounded where t is not
        middle = (low + high) / 2
        if _central_probability(middle, degrees) < CONFIDENCE:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(high)


def _central_probability(angle: float, degrees: int) -> float:
    """P(|T| <= sqrt(degrees) * tan(angle)). Source: Abramowitz & Stegun, 26.7.3 (odd) and 26.7.4 (even)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    if degrees % 2:
        term, total = cosine, 0.0
        for k in range(1, degrees - 1, 2):
            total += term
            term *= cosine * cosine * (k + 1) / (k + 2)
        return 2 / math.pi * (angle + sine * total)
    term, total = 1.0, 0.0
    for k in range(0, degrees - 1, 2):
        total += term
        term *= cosine * cosine * (k + 1) / (k + 2)
    return sine * total
