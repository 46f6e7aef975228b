"""What data.on_error=skip keeps of an odd COCO entry: a function of the entry and its image alone.

What is left is checked as every entry is; what still fails is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faster_coco_eval.core import mask as mask_api

from gnexp.data.coco.check import check_segmentation, is_area, is_box, is_polygon, is_within, to_rle
from gnexp.data.coco.reading import Entry, EntryError


def mend_image(image: Entry) -> tuple[Entry, list[str]]:
    """An image's entry with sides that are whole numbers where they are written as 64.0, and what was changed."""
    mended = dict(image)
    changes = []
    for side in ("height", "width"):
        value = image.get(side)
        if isinstance(value, float) and value.is_integer():
            mended[side] = int(value)
            changes.append(f"{side} {value} is read as {mended[side]}")
    return mended, changes


def mend_annotation(
    path: Path, what: str, entry: Entry, image: Entry, *, has_masks: bool
) -> tuple[Entry, list[str]]:
    """An annotation cut to its image, and what was changed.

    A box and polygons are cut; a polygon that is none is dropped while another is left; an area that is missing or none
    is computed, of the mask or else of the box.

    Args:
        path: of the file.
        what: the annotation.
        entry: the annotation's.
        image: its image's, mended.
        has_masks: whether segmentations are looked at.
    """
    mended = dict(entry)
    changes: list[str] = []
    box = entry.get("bbox")
    if is_box(box):
        x, y, width, height = entry["bbox"]
        if not is_within(x, y, x + width, y + height, image):
            left, right = (_clip(side, image["width"]) for side in (x, x + width))
            top, bottom = (_clip(side, image["height"]) for side in (y, y + height))
            if right > left and bottom > top:  # else nothing is left, and the check says what it was
                mended["bbox"] = [left, top, right - left, bottom - top]
                changes.append(f"bbox {box} is cut to {mended['bbox']}")
    if has_masks and isinstance(entry.get("segmentation"), list):
        mended["segmentation"] = _mend_polygons(entry["segmentation"], image, changes)
    if not is_area(entry.get("area")):
        area = _mask_area(path, what, mended, image) if has_masks else None
        if area is None and is_box(box):
            area = float(mended["bbox"][2] * mended["bbox"][3])
        if area is not None:
            mended["area"] = area
            changes.append(f"area is {entry.get('area')!r}, computed as {area:g}")
    return mended, changes


def _mend_polygons(polygons: list[Any], image: Entry, changes: list[str]) -> list[Any]:
    kept = [polygon for polygon in polygons if is_polygon(polygon)]
    if not kept:
        return polygons  # the check says what they are
    if len(kept) < len(polygons):
        changes.append(f"{len(polygons) - len(kept)} of {len(polygons)} polygons are none and dropped")
    mended = []
    for polygon in kept:
        across, down = polygon[::2], polygon[1::2]
        if not is_within(min(across), min(down), max(across), max(down), image):
            limits = (image["width"], image["height"])
            polygon = [_clip(value, limits[place % 2]) for place, value in enumerate(polygon)]
            changes.append("a polygon is cut to its image")
        mended.append(polygon)
    return mended


def _mask_area(path: Path, what: str, entry: Entry, image: Entry) -> float | None:
    """Pixels of an annotation's mask; None where it has none, which the check tells."""
    segmentation = entry.get("segmentation")
    try:
        check_segmentation(path, what, segmentation, image)
    except EntryError:
        return None
    return float(mask_api.area(to_rle(segmentation, image["height"], image["width"])))


def _clip(value: float, limit: float) -> float:
    return min(max(value, 0), limit)
