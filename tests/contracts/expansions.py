"""Experiments expanded once for all contract tests of a process, since each takes up to a second."""

import functools

from gnexp.compose.composer import Composer
from gnexp.config.experiment import Expansion

COMPOSER = Composer()


@functools.cache
def expand(experiment: str, scale: str) -> Expansion:
    return COMPOSER.expand(experiment, scale)
