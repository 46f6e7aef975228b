"""Scenes: one garment at a random place of a small canvas, each with an exposure of its own.

Photographs differ in their own statistics: light, contrast, background. Fashion-MNIST's images differ less, and batch
normalization loses less on them. A scene puts that difference back and goes past it: photographs come with no
negatives among them, and half of the scenes at full exposure are. Clutter follows the idea of cluttered MNIST
(Mnih et al. 2014, Section 4.1).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gnexp.data.kinds.fashion import INVERTED, FashionScenesConfig
from gnexp.ops import keyed

_SEED = 1803  # of the scenes; the runs' seeds never change the images
_CLUTTER = 10  # pixels, side of a bit of clutter
_CHUNK = 4096  # scenes generated at once: bounds memory
_GAIN = (0.1, 1.0)
_BACKGROUND = (0.0, 0.6)


def make_scenes(
    garments: npt.NDArray[np.uint8], config: FashionScenesConfig, split: str
) -> npt.NDArray[np.uint8]:
    """Generates one scene of each garment.

    Scene i is a function of garment i, the settings, and (for clutter) the other garments of its split alone.
    A pixel is background + (1 - background) * gain * garment, or 1 minus that where the polarity is reversed;
    config.exposure scales the spread of all three, from none at 0 (the garment on black) to full at 1; config.gain,
    .background and .inversion that of one of them.

    Args:
        garments: (N, 28, 28).
        config: image_size (the canvas's side), the spreads of the exposure and clutter.
        split: train or val; their places and exposures are drawn apart.

    Returns:
        (N, image_size, image_size).

    Raises:
        ValueError: a canvas smaller than a garment.
    """
    if config.image_size < garments.shape[1]:
        raise ValueError(
            f"data.image_size must be at least {garments.shape[1]}, a garment's side, got {config.image_size}"
        )
    starts = range(0, len(garments), _CHUNK)
    return np.concatenate(
        [_make(garments, np.arange(s, min(s + _CHUNK, len(garments))), config, split) for s in starts]
    )


def _make(
    garments: npt.NDArray[np.uint8], indices: npt.NDArray[np.int64], config: FashionScenesConfig, split: str
) -> npt.NDArray[np.uint8]:
    size, clutter = config.image_size, config.clutter or 0
    draws = keyed.uniform(_SEED, f"scene/{split}", 0, indices, 5)
    canvas = np.zeros((len(indices), size, size))
    _paste(canvas, garments[indices] / 255.0, draws[:, 0], draws[:, 1])
    for number in range(clutter):
        # From another garment: an offset of 1..N-1 never gives the scene's own.
        other, top, left, y, x = keyed.uniform(_SEED, f"clutter/{split}", number, indices, 5).T
        source = (indices + 1 + np.floor(other * (len(garments) - 1)).astype(np.int64)) % len(garments)
        _paste(canvas, _cut(garments[source], top, left) / 255.0, y, x)
    return expose(canvas, draws[:, 2:], *config.spreads)


def expose(
    canvas: npt.NDArray[np.float64],
    draws: npt.NDArray[np.float64],
    gain: float,
    background: float,
    inversion: float,
) -> npt.NDArray[np.uint8]:
    """Gives each image an exposure of its own (see make_scenes).

    Args:
        canvas: garments on black, (N, H, W) in [0, 1].
        draws: uniform in [0, 1), (N, 3): gain, background, polarity.
        gain: spread of the images' gains, in [0, 1].
        background: spread of their backgrounds, in [0, 1].
        inversion: spread of their polarities, in [0, 1]: half of it is the probability of a negative.

    Returns:
        (N, H, W).
    """
    gains = _GAIN[1] - gain * (_GAIN[1] - _GAIN[0]) * draws[:, 0, None, None]
    grounds = _BACKGROUND[0] + background * (_BACKGROUND[1] - _BACKGROUND[0]) * draws[:, 1, None, None]
    reversed_polarity = draws[:, 2, None, None] < INVERTED * inversion
    pixels = grounds + (1 - grounds) * gains * canvas
    pixels = np.where(reversed_polarity, 1 - pixels, pixels)
    return np.floor(pixels * 255 + 0.5).astype(np.uint8)


def _paste(
    canvas: npt.NDArray[np.float64],
    patches: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    x: npt.NDArray[np.float64],
) -> None:
    """Puts patch i into canvas i at a place given by two numbers in [0, 1), keeping the brighter pixel."""
    index = _window(canvas.shape[1], patches.shape[1], y, x)
    canvas[index] = np.maximum(canvas[index], patches)


def _cut(
    images: npt.NDArray[np.uint8], top: npt.NDArray[np.float64], left: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    cut: npt.NDArray[np.uint8] = images[_window(images.shape[1], _CLUTTER, top, left)]
    return cut


def _window(
    size: int, window: int, y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], ...]:
    """Index of one window per image, its corner uniform over the places where it fits whole."""
    places = size - window + 1
    rows = np.floor(y * places).astype(np.int64)[:, None] + np.arange(window)
    columns = np.floor(x * places).astype(np.int64)[:, None] + np.arange(window)
    return np.arange(len(y))[:, None, None], rows[:, :, None], columns[:, None, :]
