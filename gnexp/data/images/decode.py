"""From an image file to 8-bit RGB pixels: decoding, training's random crop, evaluation's centre crop.

Pillow decodes, for everybody and every format; torch resizes, which is as exact as Pillow's resizing and four times as
fast. Orientation tags are ignored and other color spaces become RGB, as torchvision's ImageFolder has it.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError

from gnexp.data.remarks import FileWarning, c_heard, remarks_heard
from gnexp.system.names import shown

_MOST_PIXELS = 1 << 22  # of a resized image; of a larger one, which is very long, only what is kept is made
_ORIENTATION = 0x0112  # EXIF's tag
NUM_CROP_DRAWS = 23  # flip, two for each of 10 tries, then the corner
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels
_T = TypeVar("_T")


class UnreadableError(ValueError):
    """A file that cannot be used, and why."""

    what = "file"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot read the {self.what} {shown(path)}: {reason}; mend or remove it")
        self.path, self.reason = path, reason


class UnreadableImageError(UnreadableError):
    """An image file that cannot be used, and why."""

    what = "image"


def read_image(path: str) -> Image.Image:
    """Decodes a whole image file to 8-bit RGB.

    Raises:
        UnreadableImageError: not an image, a damaged one, or one of 16-bit or floating-point gray.
        OSError: the machine, its disk or its network fails.
    """
    return _read(path, _rgb)


def read_box(path: str, choose: Callable[[int, int], Box], least: int | None = None) -> torch.Tensor:
    """Decodes an image file and keeps a box of it, (3, height, width) uint8 with its channels innermost in memory.

    Args:
        path: of the file.
        choose: the box, from the image's width and height.
        least: a JPEG may be decoded at a half, a quarter or an eighth, as long as the box keeps so many pixels on its
            shorter side (one less, as it is rounded): other pixels, and faster for large files. None = always whole.

    Raises:
        UnreadableImageError: as read_image.
    """

    def crop(image: Image.Image) -> torch.Tensor:
        box = choose(*image.size)
        if least is not None:
            box = _scale_down(image, box, least)
        # An array of its own: torch takes no read-only one.
        return torch.from_numpy(np.array(_rgb(image).crop(box))).permute(2, 0, 1)

    return _read(path, crop)


def random_crop(
    path: str,
    draws: npt.NDArray[np.float64],
    *,
    area: Sequence[float],
    aspect: Sequence[float],
    flip: bool,
    size: int,
    is_scaled: bool = False,
) -> torch.Tensor:
    """Training's random-resized crop, flipped with probability 1/2 if `flip`: (3, size, size) uint8.

    Args:
        path: of the image file.
        draws: uniform in [0, 1), (NUM_CROP_DRAWS,): flip, then those of crop_box.
        area: lowest and highest share of the image's area.
        aspect: lowest and highest width / height.
        flip: whether to flip.
        size: pixels.
        is_scaled: whether a JPEG may be decoded smaller than it is, never below `size`.

    Raises:
        UnreadableImageError: as read_image.
    """
    pixels = read_box(
        path,
        lambda width, height: crop_box(width, height, draws[1:], area, aspect),
        size if is_scaled else None,
    )
    pixels = resize(pixels, size, size)
    return pixels.flip(2) if flip and draws[0] < 0.5 else pixels


def crop_box(
    width: int, height: int, draws: npt.NDArray[np.float64], area: Sequence[float], aspect: Sequence[float]
) -> Box:
    """A random box of an image: 10 tries at an area and an aspect that fit, else the largest centred square.

    Args:
        width: of the image, pixels.
        height: of the image, pixels.
        draws: uniform in [0, 1), (NUM_CROP_DRAWS - 1,): area and aspect of each try, then left and top.
        area: lowest and highest share of the image's area, uniform.
        aspect: lowest and highest width / height, log-uniform.
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


def center_crop(path: str, shorter_side: int, size: int, *, is_scaled: bool = False) -> torch.Tensor:
    """Evaluation's pixels, (3, size, size) uint8: the shorter side resized to `shorter_side`, then the middle.

    Rounds sizes and places as torchvision's Resize and CenterCrop do.

    Args:
        path: of the image file.
        shorter_side: pixels.
        size: pixels.
        is_scaled: whether a JPEG may be decoded smaller than it is, never below `shorter_side`.

    Raises:
        UnreadableImageError: as read_image.
    """
    whole = read_box(path, lambda width, height: (0, 0, width, height), shorter_side if is_scaled else None)
    height, width = whole.shape[1:]
    shorter = min(width, height)
    width, height = shorter_side * width // shorter, shorter_side * height // shorter
    left, top = round((width - size) / 2), round((height - size) / 2)
    if height * width > _MOST_PIXELS:
        return _resize_part(whole, height, width, left, top, size)
    return resize(whole, height, width)[:, top : top + size, left : left + size]


def _resize_part(
    pixels: torch.Tensor, height: int, width: int, left: int, top: int, size: int
) -> torch.Tensor:
    """A square of the resized image, to the bit, without the rest of it: one side after the other, as torch does.

    Of 1 x 4000 pixels the whole would be 256 x 1,024,000.
    """
    across = resize(pixels, pixels.shape[1], width)[:, :, left : left + size]
    parts = torch.split(across, max(1, _MOST_PIXELS // height), dim=2)
    # Copies, since a view would keep the rest in memory.
    kept = [resize(part, height, part.shape[2])[:, top : top + size].clone() for part in parts]
    return torch.cat(kept, dim=2)


def resize(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Bicubic and antialiased, in 8 bits: (3, H, W) -> (3, height, width).

    A column that stays one goes as two: without AVX2 torch 2.14 takes it for channels that lie innermost.
    """
    if pixels.shape[2] == width == 1:
        return resize(pixels.expand(-1, -1, 2), height, 2)[:, :, :1]
    return F.interpolate(pixels[None], (height, width), mode="bicubic", antialias=True)[0]


def orientation(image: Image.Image) -> int:
    """An image's EXIF tag of how it is to be turned when it is shown; 1 = as stored."""
    turn: object = 1
    with contextlib.suppress(Exception):  # damaged tags harm nobody who ignores them
        turn = image.getexif().get(_ORIENTATION, 1)
    return turn if isinstance(turn, int) else 1


# Too many open files, no memory, a disk or a network that fails.
_OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT)


def is_of_the_machine(error: Exception) -> bool:
    """Whether a file that cannot be read is not to blame for it, so that nothing may stand in for it."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in _OF_THE_MACHINE


def _read(path: str, use: Callable[[Image.Image], _T]) -> _T:
    try:
        with remarks_heard() as said, Image.open(path) as image:
            if image.mode[0] in "IF":  # Pillow would clip these to 255, most of them to white
                raise ValueError(f"its pixels are {image.mode}, not 8-bit")
            with c_heard(said) if image.format == "TIFF" else contextlib.nullcontext():
                used = use(image)
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error and more
        if isinstance(error, MemoryError):
            raise
        if isinstance(error, OSError) and is_of_the_machine(error):
            raise OSError(error.errno, error.strerror, path) from error
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if isinstance(error, UnidentifiedImageError):
            reason = "not an image that Pillow knows" if os.path.getsize(path) else "an empty file"
        raise UnreadableImageError(path, " ".join(reason.split())) from error
    if said:
        warnings.warn(FileWarning(path, "; ".join(dict.fromkeys(said))), stacklevel=2)
    return used


def _rgb(image: Image.Image) -> Image.Image:
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def _scale_down(image: Image.Image, box: Box, least: int) -> Box:
    """Has a JPEG decoded at the smallest scale that leaves the box `least` pixels; returns the box there."""
    width, height = image.size
    shorter = min(box[2] - box[0], box[3] - box[1])
    scale = next((scale for scale in (8, 4, 2) if shorter >= scale * least), 1)
    if scale == 1 or image.format != "JPEG":
        return box
    image.draft(image.mode, (width // scale, height // scale))
    across, down = image.size[0] / width, image.size[1] / height
    left, right = (min(round(x * across), image.size[0]) for x in (box[0], box[2]))
    top, bottom = (min(round(y * down), image.size[1]) for y in (box[1], box[3]))
    return left, top, right, bottom
