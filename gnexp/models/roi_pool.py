"""What a head takes of the maps for each region of interest (RoI)."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.ops import MultiScaleRoIAlign, poolers

from gnexp.ops.roi_align import roi_align


class RoIPool(MultiScaleRoIAlign):  # type: ignore[misc]
    """torchvision's RoIAlign over the levels of a pyramid; on a CPU by a gather that is several times as fast."""

    scales: list[float] | None
    map_levels: Any

    def forward(
        self, x: dict[str, torch.Tensor], boxes: list[torch.Tensor], image_shapes: list[tuple[int, int]]
    ) -> torch.Tensor:
        maps = [x[name] for name in self.featmap_names]
        is_gathered = (
            maps[0].device.type == "cpu"
            and self.sampling_ratio > 0
            and all(one.dtype == boxes[0].dtype for one in maps)  # not under autocast
            and any(map(len, boxes))
            and not torch.compiler.is_compiling()
        )
        if not is_gathered:
            return super().forward(x, boxes, image_shapes)  # type: ignore[no-any-return]
        if self.scales is None or self.map_levels is None:
            self.scales, self.map_levels = poolers._setup_scales(
                maps, image_shapes, self.canonical_scale, self.canonical_level
            )
        rois = poolers._convert_to_roi_format(boxes)
        levels = torch.zeros(len(rois), dtype=torch.int64) if len(maps) == 1 else self.map_levels(boxes)
        size, _ = self.output_size
        return roi_align(maps, rois, levels, self.scales, size, self.sampling_ratio)
