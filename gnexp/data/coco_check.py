"""What an entry of a COCO annotation file must be: one line for the first that is not, with its id and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from faster_coco_eval.core import mask as mask_api

Entry = dict[str, Any]
_SLACK = 1.0  # pixels by which rounding may put a box or a polygon outside its image


def to_rle(segmentation: Any, height: int, width: int) -> dict[str, Any]:
    """COCO's segmentation, polygons or run lengths, as one compressed run-length encoding."""
    if isinstance(segmentation, list):
        rle: dict[str, Any] = mask_api.merge(mask_api.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        rle = mask_api.frPyObjects(segmentation, height, width)
    else:
        rle = segmentation
    return rle


def read_ids(path: Path, entries: list[Any], what: str) -> list[int]:
    """The ids of a list's entries.

    Raises:
        ValueError: one that is no whole number, or there twice.
    """
    ids: dict[int, None] = {}  # in order
    for place, entry in enumerate(entries):
        number: Any = entry.get("id") if isinstance(entry, dict) else None
        if not _is_integer(number):
            refuse(path, f"{what} at place {place}", f"its id must be a whole number, got {number!r}")
        if number in ids:
            refuse(path, f"{what} {number}", "is there twice")
        ids[number] = None
    return list(ids)


def check_image(path: Path, image_id: int, image: Entry, files: dict[str, int], folder: Path) -> None:
    """Refuses an image whose name could lead out of the folder, that is not there or has no size.

    Args:
        path: of the annotation file.
        image_id: of the image.
        image: its entry.
        files: what the folder holds, by name.
        folder: of the images.

    Raises:
        ValueError: what is wrong first.
    """
    what, name = f"image {image_id}", image.get("file_name")
    if not isinstance(name, str) or not name or name in (".", "..") or any(c in name for c in "/\\\0"):
        refuse(path, what, f"file_name must be the plain name of a file in {folder.name}/, got {name!r}")
    if name not in files:
        refuse(path, what, f"its file {folder / name} is missing", "put it there, or remove the entry")
    for side in ("height", "width"):
        if not _is_integer(image.get(side)) or image[side] < 1:
            refuse(path, what, f"{side} must be a number of pixels, got {image.get(side)!r}")


def check_annotation(path: Path, what: str, entry: Entry, image: Entry) -> None:
    """Refuses a box, an area, a crowd flag or a segmentation that is none, or not of its image.

    Args:
        path: of the file.
        what: the annotation.
        entry: the annotation's.
        image: its image's.

    Raises:
        ValueError: what is wrong first.
    """
    _check_box(path, what, entry, image)
    _check_segmentation(path, what, entry.get("segmentation"), image)


def _check_box(path: Path, what: str, entry: Entry, image: Entry) -> None:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)) or min(box[2:]) < 0:
        refuse(path, what, f"bbox must be [x, y, width, height] in pixels, got {box}")
    x, y, width, height = box
    is_inside = min(x, y) >= -_SLACK and (
        x + width <= image["width"] + _SLACK and y + height <= image["height"] + _SLACK
    )
    if not is_inside:
        size = f"{image['width']} x {image['height']}"
        refuse(path, what, f"bbox {box} reaches outside image {image['id']}, which has {size} pixels")
    if not _is_number(entry.get("area")) or entry["area"] < 0:
        refuse(path, what, f"area must be a number of pixels, got {entry.get('area')!r}")
    if entry.get("iscrowd", 0) not in (0, 1):
        refuse(path, what, f"iscrowd must be 0 or 1, got {entry['iscrowd']!r}")


def _check_segmentation(path: Path, what: str, segmentation: Any, image: Entry) -> None:
    height, width = image["height"], image["width"]
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if segmentation.get("size") != [height, width]:
            refuse(path, what, f"segmentation's size must be its image's {[height, width]}")
        try:
            assert isinstance(counts, (str, list))
            if isinstance(counts, list):
                assert all(_is_integer(count) and count >= 0 for count in counts)
                assert sum(counts) == height * width
            mask_api.area(to_rle(segmentation, height, width))
        except (AssertionError, ValueError, RuntimeError, UnicodeError):
            refuse(path, what, "segmentation's counts are no run lengths of its image")
    elif not isinstance(segmentation, list) or not segmentation:
        refuse(path, what, "segmentation must be polygons or run lengths, got none")
    else:
        for polygon in segmentation:
            _check_polygon(path, what, polygon, height, width)


def _check_polygon(path: Path, what: str, polygon: Any, height: int, width: int) -> None:
    if (
        not isinstance(polygon, list)
        or len(polygon) < 6
        or len(polygon) % 2
        or not all(map(_is_number, polygon))
    ):
        refuse(path, what, "a polygon must be [x, y, x, y, ...] of at least 3 points")
    across, down = polygon[::2], polygon[1::2]
    if min(min(across), min(down)) < -_SLACK or max(across) > width + _SLACK or max(down) > height + _SLACK:
        # Not only wrong: the mask API walks along each edge, however long.
        refuse(path, what, f"a polygon reaches outside its image, which has {width} x {height} pixels")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e9


def _is_integer(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**62


def no_number(name: str) -> NoReturn:
    """For json: NaN and Infinity are none of its numbers."""
    raise ValueError(f"{name}, which is no number")


def first_line(error: Exception) -> str:
    """What an error says, short."""
    return str(error).split("\n")[0] or type(error).__name__


def refuse(path: Path, what: str, reason: str, fix: str = "mend or remove it") -> NoReturn:
    """Raises the one line: file, entry, what is wrong with it, what to do."""
    raise ValueError(f"{path}: {what}: {reason}; {fix}")
