"""Randomness that is a pure function of its key: (seed, stream, step, sample index).

Nothing random needs saving, and no process count, loader or resume can change what is drawn. The bits are
splitmix64 (Steele, Lea & Flood 2014) run as a counter, in unsigned 64-bit integers: equal on every machine.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def bits(seed: int, stream: str, step: int, indices: npt.ArrayLike, num: int = 1) -> npt.NDArray[np.uint64]:
    """64 random bits for each sample and draw.

    Args:
        seed: the run's seed.
        stream: what the draw is for, e.g. "order" or "augment"; two streams share nothing.
        step: epoch or step.
        indices: sample indices, (N,).
        num: draws per sample.

    Returns:
        (N, num).
    """
    key = hashlib.sha256(f"{seed}/{stream}/{step}".encode()).digest()
    base = np.uint64(int.from_bytes(key[:8], "little"))
    samples = np.asarray(indices, dtype=np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        sample_keys = _mix(base ^ _mix(samples + _GOLDEN))
        counters = np.arange(1, num + 1, dtype=np.uint64) * _GOLDEN
        return _mix(sample_keys[:, None] + counters)


def uniform(
    seed: int, stream: str, step: int, indices: npt.ArrayLike, num: int = 1
) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1), (N, num): the top 53 bits of `bits`, so every double is exact."""
    return (bits(seed, stream, step, indices, num) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed: int, stream: str, step: int, num: int) -> npt.NDArray[np.int64]:
    """A random order of range(num), (num,)."""
    return np.argsort(bits(seed, stream, step, np.arange(num))[:, 0], kind="stable")


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
