"""Pictures of detections: boxes, masks and names, beside what is really there."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

LEAST_SCORE = 0.5  # of what is drawn
_WIDTH = 480  # pixels that a small image is enlarged to, so that masks can be seen
_LETTERS = 1 / 18  # height of a name, as a share of the picture's width: legible where two share a page
_NAMED = (
    12  # objects: of more, those alone are named whose name covers neither another nor more than its own box
)
_GAP = 8  # pixels between the two
# Told apart by people who see few colors (Okabe & Ito 2008); the object's, by its number in the image.
_COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))

_Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def draw_detections(
    image: torch.Tensor,
    truth: Mapping[str, Any],
    found: Mapping[str, Any],
    names: Sequence[str],
) -> bytes:
    """A PNG: left the annotations, right the detections of at least half a score, the surest first.

    Args:
        image: (C, H, W) in [0, 1].
        truth: boxes (n, 4), labels (n,) from 1 and, where there are any, a sequence of n masks, (H, W).
        found: the same with scores (n,), masks (1, H, W) in [0, 1].
        names: of label 1, 2, ...
    """
    kept = torch.where(found["scores"] >= LEAST_SCORE)[0].tolist()
    left = _draw(image, truth, range(len(truth["boxes"])), names)
    right = _draw(image, found, kept, names)
    sheet = Image.new("RGB", (left.width + _GAP + right.width, left.height), "white")
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + _GAP, 0))
    return _png(sheet)


def draw_found(image: torch.Tensor, found: Mapping[str, Any], names: Sequence[str]) -> bytes:
    """A PNG of the detections alone, as draw_detections has them on its right."""
    kept = torch.where(found["scores"] >= LEAST_SCORE)[0].tolist()
    return _png(_draw(image, found, kept, names))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _draw(
    image: torch.Tensor, objects: Mapping[str, Any], rows: Sequence[int], names: Sequence[str]
) -> Image.Image:
    """The image with some rows of the objects; of masks as large as it never more than one at once."""
    pixels = (image.detach().cpu().expand(3, -1, -1).permute(1, 2, 0).numpy() * 255).round()
    colors = [_COLORS[i % len(_COLORS)] for i in range(len(rows))]
    for row, color in zip(rows[::-1], colors[::-1], strict=True) if "masks" in objects else ():
        mask = torch.as_tensor(objects["masks"][row]).detach() >= 0.5
        is_its = np.nonzero(mask.reshape(image.shape[1:]).cpu().numpy())
        pixels[is_its] = 0.5 * pixels[is_its] + 0.5 * np.array(color)
    factor = max(1, _WIDTH // image.shape[2])
    size = (image.shape[2] * factor, image.shape[1] * factor)
    picture = Image.fromarray(pixels.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(picture)
    height = picture.width * _LETTERS
    font = ImageFont.load_default(height)
    scores = objects.get("scores")
    named: list[_Box] = []  # the spaces of the names
    boxes, labels = objects["boxes"].tolist(), objects["labels"].tolist()
    for i, row in enumerate(rows):
        left, top, right, bottom = (value * factor for value in boxes[row])
        pen.rectangle((left, top, right, bottom), outline=colors[i], width=2)
        text = names[labels[row] - 1] + ("" if scores is None else f" {float(scores[row]):.2f}")
        # Above its box, moved into the picture where it would run out of it.
        across = max(0, min(left, picture.width - pen.textlength(text, font)))
        corner = (across, max(0, top - 1.2 * height))
        space = pen.textbbox(corner, text, font)
        if len(colors) > _NAMED and (
            any(_overlap(space, other) for other in named) or _area(space) > _area((left, top, right, bottom))
        ):
            continue
        named.append(space)
        pen.rectangle(space, fill=colors[i])
        pen.text(corner, text, "black", font)
    return picture


def _area(box: _Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
