"""From an image file to 8-bit RGB pixels: decoding, training's random crop, evaluation's centre crop.

Resizing is Pillow's bicubic, which is antialiased. Orientation tags are ignored, as usual on ImageNet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

NUM_CROP_DRAWS = 23  # flip, two for each of 10 tries, then the corner
Pixels = npt.NDArray[np.uint8]


def read_image(path: str) -> Image.Image:
    """Decodes an image file to 8-bit RGB.

    Raises:
        ValueError: not an image, a damaged one, or one with more than 8 bits per channel.
    """
    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":  # Pillow would clip these to 255, most of them to white
                raise ValueError(f"its pixels are {image.mode}, not 8-bit")
            return image.convert("RGB")
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error and more
        reason = "not an image that Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error)
        reason = " ".join(reason.split())
        raise ValueError(f"cannot read the image {path}: {reason}; mend or remove it") from error


def random_crop(
    image: Image.Image,
    draws: npt.NDArray[np.float64],
    *,
    area: Sequence[float],
    aspect: Sequence[float],
    flip: bool,
    size: int,
) -> Pixels:
    """Training's random-resized crop, flipped with probability 1/2 if `flip`: (3, size, size).

    Args:
        image: RGB.
        draws: uniform in [0, 1), (NUM_CROP_DRAWS,): flip, then those of crop_box.
        area: lowest and highest share of the image's area.
        aspect: lowest and highest width / height.
        flip: whether to flip.
        size: pixels.
    """
    box = crop_box(*image.size, draws[1:], area, aspect)
    # Cropped first: Pillow's resize(box=...) would also look at pixels outside the box.
    pixels = np.asarray(image.crop(box).resize((size, size), Image.Resampling.BICUBIC))
    return (pixels[:, ::-1] if flip and draws[0] < 0.5 else pixels).transpose(2, 0, 1)


def crop_box(
    width: int, height: int, draws: npt.NDArray[np.float64], area: Sequence[float], aspect: Sequence[float]
) -> tuple[int, int, int, int]:
    """A random box of an image: 10 tries at an area and an aspect that fit, else the largest centred square.

    Args:
        width: of the image, pixels.
        height: of the image, pixels.
        draws: uniform in [0, 1), (NUM_CROP_DRAWS - 1,): area and aspect of each try, then left and top.
        area: lowest and highest share of the image's area, uniform.
        aspect: lowest and highest width / height, log-uniform.

    Returns:
        left, top, right, bottom in pixels.
    """
    for share, ratio in draws[:-2].reshape(-1, 2):
        pixels = width * height * (area[0] + share * (area[1] - area[0]))
        shape = aspect[0] * (aspect[1] / aspect[0]) ** ratio
        w, h = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
        if 1 <= w <= width and 1 <= h <= height:
            left, top = int(draws[-2] * (width - w + 1)), int(draws[-1] * (height - h + 1))
            return left, top, left + w, top + h
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def center_crop(image: Image.Image, shorter_side: int, size: int) -> Pixels:
    """Evaluation's pixels, (3, size, size): the shorter side resized to `shorter_side`, then the middle.

    Rounds as torchvision's Resize and CenterCrop do.
    """
    width, height = image.size
    shorter = min(width, height)
    width, height = shorter_side * width // shorter, shorter_side * height // shorter
    left, top = round((width - size) / 2), round((height - size) / 2)
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + size, top + size))).transpose(2, 0, 1)
