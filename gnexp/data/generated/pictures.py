"""Pictures: one to four garments of different sizes on a small canvas, later ones before earlier ones.

Each picture has an exposure of its own, as a scene has (see scenes.py). All arithmetic is exact or correctly rounded,
so that every machine makes the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gnexp.data.generated.scenes import expose
from gnexp.ops import keyed

MOST = 4  # garments in a picture
SIDES = (14, 44)  # pixels: side of the smallest and of the largest garment's square
_SEED = 1803  # of the pictures; the runs' seeds never change them
_THRESHOLD = 16  # of 255: a garment's silhouette is what is brighter
_LEAST = 16  # pixels: a garment of which less is visible is not annotated
_UNIT = 1 << 12  # 1, in the weights of a resizing


@dataclass(frozen=True)
class Picture:
    """An image and what is in it, in the order in which it was put there."""

    pixels: npt.NDArray[np.uint8]  # (H, W)
    masks: npt.NDArray[np.bool_]  # (n, H, W), of what is visible
    labels: npt.NDArray[np.int64]  # (n,), 0 to 9


def make_picture(
    garments: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    *,
    size: int,
    exposure: float,
    split: str,
    index: int,
) -> Picture:
    """A picture, which is a function of its index, its split, the garments and the settings alone.

    Args:
        garments: (N, 28, 28).
        labels: (N,).
        size: of the canvas, pixels; half of the canvases lack a sixth of their width or of their height.
        exposure: spread of the pictures' exposures, in [0, 1].
        split: train or val, whose draws are apart.
        index: of the picture.
    """
    draws = keyed.uniform(_SEED, f"picture/{split}", 0, [index], 5)[0]
    num, (height, width) = 1 + int(draws[0] * MOST), _canvas(size, draws[1])
    canvas, masks, chosen = np.zeros((height, width)), np.zeros((num, height, width), dtype=bool), []
    for i in range(num):
        which, scale, y, x = keyed.uniform(_SEED, f"garment/{split}", i, [index], 4)[0]
        chosen.append(int(which * len(garments)))
        side = SIDES[0] + int(scale * (SIDES[1] - SIDES[0] + 1))
        garment = resize(garments[chosen[-1]], side)
        top, left = int(y * (height - side + 1)), int(x * (width - side + 1))
        place = slice(top, top + side), slice(left, left + side)
        masks[i][place] = garment >= _THRESHOLD
        masks[:i] &= ~masks[i]
        canvas[place] = np.where(masks[i][place], garment / 255.0, canvas[place])
    is_seen = masks.sum(axis=(1, 2)) >= _LEAST
    pixels = expose(canvas[None], draws[None, 2:], *[exposure] * 3)[0]
    return Picture(pixels, masks[is_seen], labels[chosen][is_seen].astype(np.int64))


def resize(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """A square image at another side, bilinear and antialiased, in integers: (S, S) -> (side, side)."""
    source = len(image)
    ratio = source / side
    centres = (np.arange(side) + 0.5) * ratio - 0.5
    distances = np.abs(np.arange(source) - centres[:, None]) / max(ratio, 1.0)
    weights = np.maximum(1 - distances, 0)
    weights = np.floor(weights / weights.sum(axis=1, keepdims=True) * _UNIT + 0.5).astype(np.int64)
    whole = weights @ image.astype(np.int64) @ weights.T
    resized: npt.NDArray[np.uint8] = np.minimum((whole + _UNIT**2 // 2) // _UNIT**2, 255).astype(np.uint8)
    return resized


def shortest(size: int) -> int:
    """The shorter side of a canvas that is not square."""
    return size * 5 // 6


def _canvas(size: int, draw: float) -> tuple[int, int]:
    """Height and width: square, wide or tall, as 2 : 1 : 1."""
    if draw < 0.5:
        return size, size
    return (shortest(size), size) if draw < 0.75 else (size, shortest(size))
