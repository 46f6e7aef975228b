"""RoIAlign (He et al. 2017) on a CPU, by one gather of weighted pixels.

torchvision's backward pass on a CPU goes through the maps channel by channel, and took up to half of a thin detector's
step (docs/log.md). Here a pixel's channels lie next to each other, so that each corner of a sample is one row, and
forward and backward are one call each, over all RoIs and maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def roi_align(
    maps: Sequence[torch.Tensor],
    rois: torch.Tensor,
    levels: torch.Tensor,
    scales: Sequence[float],
    size: int,
    samples: int,
) -> torch.Tensor:
    """What torchvision's pools of each RoI from its own map, not aligned by half a pixel; up to rounding.

    Args:
        maps: (N, C, H, W) each, of float32 or float64 on a CPU.
        rois: (R, 5): image, x1, y1, x2, y2 in pixels of the images; without a gradient.
        levels: (R,), which map each is pooled from.
        scales: of each map, its pixels per pixel of the images.
        size: P, bins a side.
        samples: per bin and side, at least 1.

    Returns:
        (R, C, P, P), in channels_last.
    """
    rows = torch.cat([one.permute(0, 2, 3, 1).reshape(-1, one.shape[1]) for one in maps])
    shapes = torch.tensor([one.shape[2:] for one in maps])
    counts = torch.tensor([len(one) * one.shape[2] * one.shape[3] for one in maps])
    height, width = shapes[levels].unbind(1)
    start = (counts.cumsum(0) - counts)[levels] + rois[:, 0].long() * height * width
    boxes = rois[:, 1:] * torch.tensor(scales, dtype=rois.dtype)[levels, None]
    across, across_weight = _corners(boxes[:, 0], boxes[:, 2], width, size * samples)
    down, down_weight = _corners(boxes[:, 1], boxes[:, 3], height, size * samples)
    # (R, P, samples, 1, 1, corners, 1) and (R, 1, 1, P, samples, 1, corners): a bin's pixels are their outer product.
    split = (len(rois), size, samples)
    index = (start[:, None, None] + down * width[:, None, None]).view(*split, 1, 1, 2, 1) + across.view(
        len(rois), 1, 1, size, samples, 1, 2
    )
    weight = down_weight.view(*split, 1, 1, 2, 1) * across_weight.view(len(rois), 1, 1, size, samples, 1, 2)
    bag = (len(rois) * size**2, 4 * samples**2)
    index, weight = (t.permute(0, 1, 3, 2, 4, 5, 6).reshape(bag) for t in (index, weight))
    pooled = F.embedding_bag(index, rows, mode="sum", per_sample_weights=weight.to(rows.dtype) / samples**2)
    return pooled.view(len(rois), size, size, -1).permute(0, 3, 1, 2)


def _corners(
    low: torch.Tensor, high: torch.Tensor, side: torch.Tensor, num: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The two pixels that each of num samples along one axis lies between, and their weights: (R, num, 2) each."""
    step = (high - low).clamp(min=1) / num
    place = low[:, None] + (torch.arange(num, dtype=low.dtype) + 0.5) * step[:, None]
    last = (side - 1)[:, None]
    is_inside = (place >= -1) & (place <= side[:, None])
    # Up to a pixel outside, the border's own value; further out, nothing.
    place = torch.minimum(place.clamp(min=0), last.to(place.dtype))
    first = torch.minimum(place.long(), last)
    part = place - first
    weights = torch.stack([1 - part, part], -1) * is_inside[..., None]
    return torch.stack([first, torch.minimum(first + 1, last)], -1), weights
