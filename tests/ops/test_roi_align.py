"""RoIAlign by a gather: torchvision's values and gradients, on every map, at every place of a RoI."""

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops import roi_align as torchvisions

from gnexp.models.roi_pool import RoIPool
from gnexp.ops.roi_align import roi_align


def boxes_of(num: int, seed: int) -> torch.Tensor:
    """Boxes within a map of 96 pixels, across its border and beyond it, some of no size."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(num, 2, dtype=torch.float64, generator=generator) * 130 - 20
    sides = torch.rand(num, 2, dtype=torch.float64, generator=generator) * 60
    sides[::7] = 0
    return torch.cat([corner, corner + sides], 1)


@pytest.mark.parametrize(("size", "samples"), [(6, 1), (3, 2), (1, 3)])
def test_values_and_gradients_are_torchvisions(size: int, samples: int) -> None:
    maps = torch.randn(3, 5, 12, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    maps.requires_grad_()
    rois = torch.cat([(torch.arange(60) % 3)[:, None].double(), boxes_of(60, 1)], 1)
    ours = roi_align([maps], rois, torch.zeros(60, dtype=torch.int64), [1 / 8], size, samples)
    theirs = torchvisions(maps, rois, size, 1 / 8, samples)
    weights = torch.randn(theirs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    for found, expected in zip(
        *(torch.autograd.grad((pooled * weights).sum(), maps) for pooled in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_levels", [1, 3])
def test_a_pool_takes_each_roi_from_the_map_that_torchvision_takes(num_levels: int) -> None:
    names = [str(level) for level in range(num_levels)]
    generator = torch.Generator().manual_seed(0)
    maps = {
        name: torch.randn(2, 4, 192 >> level, 160 >> level, dtype=torch.float64, generator=generator)
        for level, name in enumerate(names)
    }
    maps["pool"] = maps["0"][:, :, :1, :1]  # for anchors alone
    rois = [boxes_of(20, 3) * 7, boxes_of(5, 4)]
    rois = [one.clamp(0, 640) for one in rois]
    sizes = [(768, 640), (700, 640)]
    ours, theirs = RoIPool(names, 6, 1), MultiScaleRoIAlign(names, 6, 1)
    torch.testing.assert_close(ours(maps, rois, sizes), theirs(maps, rois, sizes), rtol=0, atol=1e-12)
    none = [torch.zeros(0, 4, dtype=torch.float64)] * 2
    assert ours(maps, none, sizes).shape == (0, 4, 6, 6)
    if num_levels > 1:
        assert len(set(ours.map_levels(rois).tolist())) > 1, "else one map was taken alone"
