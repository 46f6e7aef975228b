"""Images, boxes and masks of a COCO split, decoded by loader processes or, where there are none, here."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch.utils.data import Dataset as TorchDataset

from gnexp.data.chunks import fault_of_the_machine
from gnexp.data.coco.files import CocoFiles
from gnexp.data.dataset import Indices
from gnexp.data.images.decode import orientation, read_image
from gnexp.data.kinds.coco import BoxesConfig
from gnexp.ops import keyed
from gnexp.ops.resizing import resized_size

_ACROSS = (5, 6, 7, 8)  # orientation tags that turn a picture on its side
Pixels = npt.NDArray[np.uint8]  # (H, W), or (H, W, 3)


@dataclass
class Sample:
    """An image and what is in it; an error travels as its line.

    Arrays, not tensors, each of which would hold a file open on its way from a loader process.
    """

    pixels: npt.NDArray[np.uint8]  # (C, H, W)
    boxes: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    masks: npt.NDArray[np.uint8] | None  # in training with masks, of the size that the image is resized to
    image_id: int
    error: str | None = None


class CocoDecoder(TorchDataset[list[Sample]]):
    """Makes samples of indices, each a function of (seed, epoch, index) alone.

    Args:
        files: of the split.
        key: seed and epoch of training's flips; None = evaluation, whose masks nobody asks for.
        config: its channels, sizes and flip are followed.
        images: of the split, where they are in memory; None = decodes the files.
    """

    def __init__(
        self,
        files: CocoFiles,
        key: tuple[int, int] | None,
        config: BoxesConfig,
        images: Sequence[Pixels] | None,
    ) -> None:
        self._files, self._key, self._config, self._images = files, key, config, images

    def __getitem__(self, indices: Indices) -> list[Sample]:
        flips = np.zeros(len(indices), dtype=bool)
        if self._key is not None and self._config.flip:
            seed, epoch = self._key
            flips = keyed.uniform(seed, "augment", epoch, indices)[:, 0] < 0.5
        try:
            return [self._make(int(index), bool(flip)) for index, flip in zip(indices, flips, strict=True)]
        except ValueError as error:
            line = str(error)
        except OSError as error:
            line = fault_of_the_machine(error, "image")
        nothing = np.empty(0, np.uint8)
        return [Sample(nothing, nothing.astype(np.float32), nothing.astype(np.int64), None, 0, line)]

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that the model gives an image, which its masks have already."""
        config = self._config
        if not config.is_resized:
            return height, width
        return resized_size(height, width, config.min_size, config.max_size)

    def _make(self, index: int, is_flipped: bool) -> Sample:
        files = self._files
        pixels = self._pixels(index)
        height, width = pixels.shape[-2:]
        check_size(files, index, height, width)
        boxes, labels = files.target(index)
        masks = None
        if self._key is not None and not self._config.is_without_masks:
            masks = files.masks(index, self._resized(height, width), is_flipped=is_flipped)
        if is_flipped:
            pixels = pixels[:, :, ::-1]
            boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
        return Sample(
            np.ascontiguousarray(pixels),
            boxes.copy(),
            labels.copy(),
            masks,
            int(files.image_ids[index]),
        )

    def _pixels(self, index: int) -> npt.NDArray[np.uint8]:
        """(C, H, W)."""
        if self._images is not None:
            pixels = self._images[index]
        else:
            pixels = read_pixels(self._files.path(index), self._config.channels)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def check_size(files: CocoFiles, index: int, height: int, width: int) -> None:
    """Refuses an image that has other sides, in pixels, than its entry says.

    Raises:
        ValueError: it has.
    """
    expected = tuple(int(side) for side in files.sizes[index])
    if (height, width) == expected:
        return
    fix, turned = "mend the entry, or the file", ""
    with contextlib.suppress(OSError), Image.open(files.path(index)) as image:
        turn = orientation(image)
        if turn in _ACROSS and (width, height) == expected:
            turned = f" and EXIF's orientation tag {turn}, which is ignored"
            fix = (
                "its boxes are of the turned picture, so leave the entry as it is and store the pixels turned, without "
                "the tag (Pillow's ImageOps.exif_transpose does)"
            )
    raise ValueError(
        f"{files.annotations}: image {files.image_ids[index]}: {files.path(index)} has {width} x {height} pixels"
        f"{turned}, its entry says {expected[1]} x {expected[0]}; {fix}"
    )


def read_pixels(path: str, channels: int) -> Pixels:
    """An image file's pixels, gray for 1 channel; raises as read_image does."""
    image = read_image(path)
    return np.array(image.convert("L") if channels == 1 else image)
