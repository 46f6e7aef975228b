"""What conf/ holds, read, composed and expanded once for all contract tests of a process."""

import copy
import functools
from typing import Any

from gnexp.compose.exhibits import load_exhibits
from gnexp.config import RunConfig
from gnexp.config.experiment import Expansion
from gnexp.config.fields import value_of
from tests.composing import COMPOSER


@functools.cache
def expand(experiment: str, scale: str) -> Expansion:
    return COMPOSER.expand(experiment, scale)


@functools.cache
def _exhibits() -> dict[str, dict[str, Any]]:
    return {values["id"]: values for values in load_exhibits()}


def exhibits() -> dict[str, dict[str, Any]]:
    """The values of every exhibit by its name, those at demo scale included; the caller's own."""
    return copy.deepcopy(_exhibits())


def exhibit(name: str) -> dict[str, Any]:
    return copy.deepcopy(_exhibits()[name])


def network_of(run: RunConfig) -> tuple[object, ...]:
    """What a run's shapes depend on beside its batch."""
    names = ("channels", "num_classes", "image_size", "min_size", "max_size", "clip_length")
    sizes = (value_of(run.data, name) for name in names)
    return run.model, run.norm, run.task, run.virtual_workers, run.workers_per_pass, *sizes
