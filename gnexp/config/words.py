"""Numbers as a sentence has them: counts with their noun, and durations, also as `budget=24h` gives one."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}  # seconds
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|min|h|d)")


def counted(number: int, noun: str) -> str:
    """A count with its noun: "1 epoch", "3 epochs"."""
    return f"{number} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"


def duration(seconds: float) -> str:
    """A duration in its unit: "89 s", "5 min", "14.2 h", "3.4 days"."""
    units = (("s", 90), ("min", 90 * 60), ("h", 72 * 3600))
    unit = next((unit for unit, limit in units if seconds < limit), "d")
    number = seconds / _UNITS[unit]
    text = f"{number:.0f}" if number >= 100 else f"{number:.3g}"
    return f"{text} {'days' if unit == 'd' else unit}"


def read_duration(key: str, text: str) -> float:
    """The seconds of a duration such as 24h, 90min, 3600s or 2d.

    Raises:
        ValueError: it is none, or no time at all.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not seconds:
        raise ValueError(f"{key} must be a time such as 24h, 90min, 3600s or 2d, got {text!r}")
    return seconds
