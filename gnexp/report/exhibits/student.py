"""Student's t distribution for any degrees of freedom, whole or not: Welch's are not."""

from __future__ import annotations

import math
from functools import cache

_TINY = 1e-300  # stands for 0 in a continued fraction


@cache
def t_quantile(degrees: float, confidence: float = 0.95) -> float:
    """The t with P(|T| <= t) = confidence at `degrees` degrees of freedom.

    Raises:
        ValueError: fewer than one degree of freedom, or a confidence that is no share.
    """
    if not degrees >= 1:
        raise ValueError(f"a t interval needs at least 1 degree of freedom (2 seeds), got {degrees}")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, got {confidence}")
    low, high = 0.0, math.pi / 2
    for _ in range(100):  # bisection on the angle, which is bounded where t is not
        middle = (low + high) / 2
        if central_probability(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(high)


def central_probability(angle: float, degrees: float) -> float:
    """P(|T| <= sqrt(degrees) * tan(angle)). Source: Abramowitz & Stegun, 26.7.1 (an incomplete beta function)."""
    return _incomplete_beta(math.sin(angle) ** 2, math.cos(angle) ** 2, 0.5, degrees / 2)


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """I_x(a, b), regularised; rest is 1 - x, which a subtraction would round."""
    if x <= 0:
        return 0.0
    if rest <= 0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    )
    # The fraction converges fast on one side of the mean; the other side is the complement.
    if x < (a + 1) / (a + b + 2):
        return front / a * _fraction(x, a, b)
    return 1 - front / b * _fraction(rest, b, a)


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b), by Lentz. Source: Abramowitz & Stegun, 26.5.8."""
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 1000):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _nonzero(1 + factor * d)
            c = _nonzero(1 + factor / c)
            step = c * d
            value *= step
        if abs(step - 1) < 1e-15:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
