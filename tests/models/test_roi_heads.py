"""RoI heads: which RoIs they get, what the box loss is, and what batch norm and no RoI at all do to them."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import box_iou

from gnexp.models.mask_rcnn import MaskRCNN
from gnexp.models.roi_heads import box_loss
from gnexp.nn.batch_norm import BatchNormAct
from tests.models.detection_cases import ALL_GN, THIN, detector, empty_target, losses, scene


def test_batch_norm_in_a_head_wants_one_worker_a_pass() -> None:
    model = detector("thin_mask_rcnn", "gn", "box_norm=bn", workers=2)
    scenes = [scene(0), scene(1)]
    with pytest.raises(
        ValueError, match=r"layer roi_heads.box_head.0.1: the RoIs of 2 workers cannot be told"
    ):
        losses(model, scenes, [0, 1])
    for norm in model.modules():
        if isinstance(norm, BatchNormAct):
            norm.take_workers(slice(1, 2))
    assert bool(losses(model, scenes, [0, 1])["loss_classifier"].isfinite())


@pytest.mark.parametrize("name", THIN[::2])
def test_an_image_with_nothing_on_it_and_one_with_nothing_found(name: str) -> None:
    model = detector(name, "gn", *(() if name.endswith("c4") else ALL_GN))
    image, _ = scene(0)
    torch.stack(list(losses(model, [(image, empty_target())], [0]).values())).sum().backward()
    assert all(
        parameter.grad is not None for parameter in model.parameters()
    )  # else processes wait for each other
    model.roi_heads.score_thresh = 2.0
    with torch.no_grad():
        (found,) = model.eval()([image])
    assert found["boxes"].shape == (0, 4) and list(found["masks"]) == []


def chosen_rois(model: MaskRCNN, indices: list[int]) -> list[torch.Tensor]:
    """The RoIs of each image of a training pass."""
    found: list[torch.Tensor] = []

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.extend(inputs[1])

    handle = model.roi_heads.box_roi_pool.register_forward_pre_hook(note)
    with torch.no_grad():
        losses(model, [(image.double(), target) for image, target in map(scene, range(4))], indices)
    handle.remove()
    return found


def test_an_images_rois_are_its_own() -> None:
    """In another order and in two passes the same, in double precision so that no tie turns."""
    model = detector("thin_mask_rcnn", "gn", *ALL_GN).double()
    together = chosen_rois(model, [0, 1, 2])
    turned = chosen_rois(model, [2, 0, 1])
    passes = chosen_rois(model, [0]) + chosen_rois(model, [1, 2])
    for of_image, other, again in zip(together, (turned[1], turned[2], turned[0]), passes, strict=True):
        torch.testing.assert_close(other, of_image, rtol=0, atol=1e-9)
        torch.testing.assert_close(again, of_image, rtol=0, atol=1e-9)


def test_the_shared_stage_gives_the_mask_head_what_it_gave_the_box_head() -> None:
    """In training it runs once; the mask head takes what it made of the foreground."""
    model = detector("thin_mask_rcnn_c4", "gn").double()
    seen: list[torch.Tensor] = []
    model.roi_heads.mask_head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model.roi_heads.last_stage.register_forward_hook(lambda module, inputs, output: seen.append(output))
    rois = chosen_rois(model, [0, 1])
    of_all, of_foreground = seen
    is_foreground = torch.cat(
        [box_iou(found, scene(seed)[1]["boxes"].double()).amax(1) >= 0.5 for seed, found in enumerate(rois)]
    )
    assert len(of_all) == 2 * 32 and 0 < int(is_foreground.sum()) < len(of_all)
    assert torch.equal(of_foreground, of_all[is_foreground])


@pytest.mark.parametrize("name", THIN[::2])
def test_a_pass_of_several_workers_has_the_mean_of_their_losses(name: str) -> None:
    """Each over its own anchors and RoIs, which are not as many: losses and gradients of passes of one worker each."""
    model = detector(name, "gn", *(() if name.endswith("c4") else ALL_GN)).double()
    scenes = [(image.double(), target) for image, target in map(scene, range(6))]
    scenes[1], scenes[4] = ((scenes[index][0], empty_target()) for index in (1, 4))  # all that worker 1 has

    def gradients(passes: list[list[int]], workers: int) -> tuple[dict[str, float], list[torch.Tensor]]:
        model.zero_grad()
        sums: dict[str, float] = {}
        for indices in passes:
            found = losses(model, scenes, indices, workers=workers)
            (torch.stack(list(found.values())).sum() / len(passes)).backward()
            for name, loss in found.items():
                sums[name] = sums.get(name, 0.0) + float(loss.detach()) / len(passes)
        return sums, [
            parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None
        ]

    together, of_together = gradients([[0, 1, 2, 3, 4, 5]], 3)
    alone, of_alone = gradients([[0, 3], [1, 4], [2, 5]], 1)
    assert together == pytest.approx(alone, rel=1e-10)
    torch.testing.assert_close(of_together, of_alone, rtol=0, atol=1e-10)
    mixed, _ = gradients([[0, 1, 2, 3, 4, 5]], 1)
    assert mixed["loss_mask"] != pytest.approx(alone["loss_mask"], rel=1e-3), (
        "else the test would tell nothing"
    )


def test_the_box_loss_is_smooth_l1_of_the_true_class() -> None:
    generator = torch.Generator().manual_seed(1)
    deltas, targets = torch.randn(3, 3 * 4, generator=generator), torch.randn(3, 4, generator=generator)
    labels = torch.tensor([0, 2, 1])
    expected = F.smooth_l1_loss(deltas[1, 8:], targets[1], beta=0.5, reduction="sum")
    expected += F.smooth_l1_loss(deltas[2, 4:8], targets[2], beta=0.5, reduction="sum")
    torch.testing.assert_close(box_loss(deltas, labels, targets, 0.5), expected / 3)
