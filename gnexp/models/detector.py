"""What a detector is built for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DetectorInputs:
    """The images, classes and workers that a detector is built for, beside its own config.

    Args:
        workers: virtual workers whose statistics batch normalization keeps apart.
        mean: of pixel values in [0, 1], one per channel of the images.
        std: likewise.
        min_size: pixels of the shorter side that images are resized to; None = not at all.
        max_size: pixels of the longer side at most.
        num_classes: without the background.
        has_masks: whether it has a mask head; without one it is Faster R-CNN.
    """

    workers: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min_size: int | None
    max_size: int | None
    num_classes: int
    has_masks: bool = True
