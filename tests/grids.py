"""Grids of cases of which `make test` runs some and `make test-slow` all others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest


def thin(cases: Sequence[Any], every: int | None = None) -> list[Any]:
    """The first of every so many stay, or the first alone; the others are marked slow."""
    return [
        pytest.param(*_values(case), marks=() if place % (every or len(cases)) == 0 else pytest.mark.slow)
        for place, case in enumerate(cases)
    ]


def keep(kept: Collection[Any], cases: Sequence[Any]) -> list[Any]:
    """Those that are named stay; the others are marked slow."""
    assert all(case in cases for case in kept), f"of {kept} some are no cases"
    return [pytest.param(*_values(case), marks=() if case in kept else pytest.mark.slow) for case in cases]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
