"""What an entry of a COCO annotation file must be: one line for the first that is not, with its id and the fix."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from faster_coco_eval.core import mask as mask_api

from gnexp.data.coco.reading import FIX, Entry, is_integer, is_number, refuse

SLACK = 1.0  # pixels by which rounding may put a box or a polygon outside its image
BOXES_ALONE = "data.masks=false for boxes alone"


def to_rle(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """COCO's segmentation, polygons or run lengths, as one compressed run-length encoding."""
    if isinstance(segmentation, list):
        rle: dict[str, Any] = mask_api.merge(mask_api.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        rle = mask_api.frPyObjects(segmentation, height, width)
    else:
        rle = segmentation
    return rle


def is_below(name: Any) -> bool:
    """Whether a file_name names a file of the image folder or of a folder in it, and could name none outside."""
    if not isinstance(name, str) or any(character in name for character in "\\\0"):
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))


def check_image(path: Path, image_id: int, image: Entry, files: Container[str], folder: Path) -> None:
    """Refuses an image whose name could lead out of the folder, that is not there or has no size.

    Args:
        path: of the annotation file.
        image_id: of the image.
        image: its entry.
        files: what the folder and the folders in it hold, by name.
        folder: of the images.

    Raises:
        EntryError: what is wrong first.
    """
    what, name = f"image {image_id}", image.get("file_name")
    if not isinstance(name, str) or not is_below(name):
        refuse(path, what, f"file_name must be the name of a file below {folder.name}/, got {name!r}")
    if name not in files:
        refuse(
            path, what, f"its file {folder / name} is missing", "put it there, or remove the entry, or give "
            "data.on_error=skip"
        )  # fmt: skip
    for side in ("height", "width"):
        if not is_integer(image.get(side)) or image[side] < 1:
            refuse(path, what, f"{side} must be a whole number of pixels, got {image.get(side)!r}")


def check_ids(
    path: Path, what: str, entry: Entry, images: Container[int], categories: Mapping[int, int]
) -> None:
    """Refuses an annotation of an image or a category that the file does not have.

    Raises:
        EntryError: it is.
    """
    image_id, category_id = entry.get("image_id"), entry.get("category_id")
    if not is_integer(image_id) or image_id not in images:
        refuse(path, what, f"image_id is {image_id!r}, which no image has")
    if not is_integer(category_id) or category_id not in categories:
        refuse(path, what, f"category_id is {category_id!r}, which no category has")


def check_annotation(path: Path, what: str, entry: Entry, image: Entry, *, has_masks: bool) -> None:
    """Refuses a box, an area, a crowd flag or a segmentation that is none, or not of its image.

    Args:
        path: of the file.
        what: the annotation.
        entry: the annotation's.
        image: its image's.
        has_masks: whether segmentations are looked at.

    Raises:
        EntryError: what is wrong first.
    """
    _check_box(path, what, entry, image)
    if has_masks:
        check_segmentation(path, what, entry.get("segmentation"), image)


def is_box(box: Any) -> bool:
    """Whether a value is COCO's x, y, width and height."""
    return isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) and min(box[2:]) >= 0


def is_polygon(polygon: Any) -> bool:
    """Whether a value is the corners of a polygon, x and y in turn."""
    return (
        isinstance(polygon, list)
        and len(polygon) >= 6
        and len(polygon) % 2 == 0
        and all(map(is_number, polygon))
    )


def is_area(area: Any) -> bool:
    """Whether a value is a number of pixels."""
    return is_number(area) and area >= 0


def is_within(left: float, top: float, right: float, bottom: float, image: Entry) -> bool:
    """Whether a rectangle lies in its image but for rounding."""
    return min(left, top) >= -SLACK and right <= image["width"] + SLACK and bottom <= image["height"] + SLACK


def _check_box(path: Path, what: str, entry: Entry, image: Entry) -> None:
    box = entry.get("bbox")
    if not is_box(box):
        refuse(path, what, f"bbox must be [x, y, width, height] in pixels, got {box}")
    x, y, width, height = entry["bbox"]
    if not is_within(x, y, x + width, y + height, image):
        size = f"{image['width']} x {image['height']}"
        refuse(path, what, f"bbox {box} reaches outside image {image['id']}, which has {size} pixels")
    if not is_area(entry.get("area")):
        refuse(path, what, f"area must be a number of pixels, got {entry.get('area')!r}")
    if entry.get("iscrowd", 0) not in (0, 1):
        refuse(path, what, f"iscrowd must be 0 or 1, got {entry['iscrowd']!r}")


def check_segmentation(path: Path, what: str, segmentation: Any, image: Entry) -> None:
    """Refuses a segmentation that is no mask of its image; raises as check_annotation does."""
    height, width = image["height"], image["width"]
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if segmentation.get("size") != [height, width]:
            got = segmentation.get("size")
            refuse(path, what, f"segmentation's size must be its image's {[height, width]}, got {got}")
        try:
            assert isinstance(counts, (str, list))
            if isinstance(counts, list):
                assert all(is_integer(count) and count >= 0 for count in counts)
                assert sum(counts) == height * width
            mask_api.area(to_rle(segmentation, height, width))
        except (AssertionError, ValueError, RuntimeError, UnicodeError):
            refuse(path, what, "segmentation's counts are no run lengths of its image")
    elif not isinstance(segmentation, list) or not segmentation:
        reason = f"segmentation must be polygons or run lengths, got {segmentation!r}"
        refuse(path, what, reason, f"{FIX}, or {BOXES_ALONE}")
    else:
        for polygon in segmentation:
            _check_polygon(path, what, polygon, image)


def _check_polygon(path: Path, what: str, polygon: Any, image: Entry) -> None:
    if not is_polygon(polygon):
        refuse(path, what, f"a polygon must be [x, y, x, y, ...] of at least 3 points, got {_short(polygon)}")
    across, down = polygon[::2], polygon[1::2]
    if not is_within(min(across), min(down), max(across), max(down), image):
        # Not only wrong: the mask API walks along each edge, however long.
        reach = [min(across), min(down), max(across), max(down)]
        size = f"{image['width']} x {image['height']}"
        refuse(path, what, f"a polygon of {reach} reaches outside its image, which has {size} pixels")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
