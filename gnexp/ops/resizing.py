"""How large a detector's image becomes, and which of its pixels a mask of that size keeps."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def resized_size(height: int, width: int, min_size: int, max_size: int) -> tuple[int, int]:
    """Height and width of an image whose shorter side becomes `min_size`, unless its longer one would pass `max_size`.

    Rounded down as torchvision's detectors do, but to one pixel at least: of 4000 x 1 pixels they leave nothing.
    """
    scale = min(min_size / min(height, width), max_size / max(height, width))
    return max(1, math.floor(height * scale)), max(1, math.floor(width * scale))


def nearest_pixels(side: int, resized: int) -> npt.NDArray[np.int64]:
    """The pixels of a side that stay when it is resized, (resized,): torch's interpolate in mode nearest.

    In single precision as there, so that the masks are its masks to the bit.
    """
    scale = np.float32(side) / np.float32(resized)
    positions = np.arange(resized, dtype=np.float32) * scale
    return np.minimum(positions.astype(np.int64), side - 1)
