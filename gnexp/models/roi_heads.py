"""What Mask R-CNN computes for each region of interest (RoI): class, box and mask."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.detection import roi_heads
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

from gnexp.models.kinds.mask_rcnn import MaskRCNNConfig
from gnexp.models.roi_pool import RoIPool
from gnexp.models.rpn import by_worker, mean_over_workers
from gnexp.nn.batch_norm import WorkerNormAct
from gnexp.nn.norm_act import ConvFactory, NormFactory, plain_conv
from gnexp.nn.sampler import KeyedSampler
from gnexp.nn.step import Step
from gnexp.nn.sync_batch_norm import active_peers

_NUM_CONVS = 4  # of the 4conv1fc box head and of the FPN's mask head
_FOREGROUND_SHARE = 0.25
_MASKS_AT_ONCE = 32  # of an image's that are in floating point together

Features = dict[str, torch.Tensor]
Sizes = list[tuple[int, int]]
Targets = list[dict[str, torch.Tensor]]


class ConvNorm(nn.Sequential):
    """3x3 convolution, norm or else bias, ReLU; of (0, C, H, W) too, where an image has no RoI."""

    def __init__(
        self, channels_in: int, channels_out: int, norm: NormFactory | None, conv: ConvFactory = plain_conv
    ) -> None:
        spatial = conv(nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=norm is None))
        super().__init__(spatial, nn.ReLU(inplace=True) if norm is None else norm(channels_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) or active_peers(self).world_size > 1:  # which wait for what this one has, be it nothing
            return self[1](self[0](x))  # type: ignore[no-any-return]
        y: torch.Tensor = self[0](x)
        # Nothing to normalize; the norm's parameters still get a gradient, of zeros, as the convolution's do.
        return y + sum((0 * parameter.sum() for parameter in self[1].parameters()), torch.zeros_like(y))


class RoIHeads(roi_heads.RoIHeads):  # type: ignore[misc]
    """Box and mask head; its parameters have torchvision's names.

    Its losses are means over the workers of a pass, each over the RoIs of a worker: as many passes of one worker each
    have these losses on average.

    Detectron's constants where torchvision has them too: a RoI is foreground from an IoU of 0.5, scores above 0.05,
    non-maximum suppression at 0.5, boxes encoded with (10, 10, 5, 5).

    Args:
        config: the heads' shapes, and how many RoIs.
        channels: of the backbone's maps.
        num_classes: background included.
        box_norm: of the 4conv1fc box head's convolutions; None = a bias.
        mask_norm: of the mask head's convolutions, not of its deconvolution; None = a bias.
        box_conv: what the box head's norm makes of its convolutions.
        mask_conv: likewise.
        last_stage: of neck=c4: the stage that box and mask share, with its number of channels.
        has_masks: whether there is a mask head.
    """

    def __init__(
        self,
        config: MaskRCNNConfig,
        *,
        channels: int,
        num_classes: int,
        box_norm: NormFactory | None,
        mask_norm: NormFactory | None,
        box_conv: ConvFactory,
        mask_conv: ConvFactory,
        last_stage: tuple[nn.Module, int] | None,
        has_masks: bool = True,
    ) -> None:
        size, width = config.roi_size, config.head_width
        if last_stage is not None:
            names = ["0"]
            box_size, box_head = size, _mean_over_space()
            stage, box_channels = last_stage
            mask_head, mask_channels = nn.Sequential(), box_channels
        else:
            assert config.fpn_stages is not None, "checked by MaskRCNNConfig"
            names = [str(level) for level in range(config.fpn_stages)]
            box_size, stage = size // 2, None
            box_head, box_channels = _box_head(config, channels, box_size, box_norm, box_conv)
            mask_head, mask_channels = nn.Sequential(), width
            if has_masks:
                mask_head = _conv_stack(channels, width, mask_norm, mask_conv)
        super().__init__(
            RoIPool(names, box_size, config.roi_samples),
            box_head,
            FastRCNNPredictor(box_channels, num_classes),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=config.rois,
            positive_fraction=_FOREGROUND_SHARE,
            bbox_reg_weights=None,
            score_thresh=0.05,
            nms_thresh=0.5,
            detections_per_img=config.detections,
            mask_roi_pool=RoIPool(names, size, config.roi_samples) if has_masks else None,
            mask_head=mask_head if has_masks else None,
            mask_predictor=MaskRCNNPredictor(mask_channels, width, num_classes) if has_masks else None,
        )
        self.channels, self.last_stage, self.box_beta = channels, stage, config.box_beta
        self.fg_bg_sampler = KeyedSampler(config.rois, _FOREGROUND_SHARE, stream="rois")
        self.num_workers = 1  # of the pass

    def begin_step(self, step: Step) -> None:
        """Takes the number of workers whose images the next forward pass gets."""
        self.num_workers = step.num_workers

    def forward(
        self, features: Features, proposals: list[torch.Tensor], sizes: Sizes, targets: Targets | None = None
    ) -> tuple[Targets, dict[str, torch.Tensor]]:
        """The backbone's maps and (n, 4) proposals of each image -> detections in evaluation, losses in training.

        Raises:
            ValueError: a batch norm of several workers at once, whose RoIs are not as many.
        """
        if not self.training:
            return self._detect(features, proposals, sizes), {}
        for norm in self.modules():
            if isinstance(norm, WorkerNormAct) and norm.num_active > 1:
                raise ValueError(
                    f"layer {norm.name}: the RoIs of {norm.num_active} workers cannot be told apart; "
                    "give a detector one worker a pass"
                )
        assert targets is not None, "training needs targets"
        return [], self._losses(features, proposals, sizes, targets)

    def _losses(
        self, features: Features, proposals: list[torch.Tensor], sizes: Sizes, targets: Targets
    ) -> dict[str, torch.Tensor]:
        rois, matches, labels, box_targets = self.select_training_samples(proposals, targets)
        maps = self._pool(self.box_roi_pool, features, rois, sizes)
        logits, deltas = self.box_predictor(self.box_head(maps))
        counts = [len(of_image) for of_image in rois]
        of_workers = by_worker(
            self.num_workers, logits.split(counts), deltas.split(counts), labels, box_targets
        )
        losses = [
            (F.cross_entropy(logits, own), box_loss(deltas, own, targets, self.box_beta))
            for logits, deltas, own, targets in of_workers
        ]
        found = dict(zip(("loss_classifier", "loss_box_reg"), mean_over_workers(losses), strict=True))
        if not self.has_mask():
            return found
        is_positive = [of_image > 0 for of_image in labels]
        positives, classes, objects = (
            [of_image[chosen] for of_image, chosen in zip(values, is_positive, strict=True)]
            for values in (rois, labels, matches)
        )
        if self.last_stage is None:
            maps = self._pool(self.mask_roi_pool, features, positives, sizes)
        else:
            maps = maps[torch.cat(is_positive)]  # what the shared stage made for the boxes
        logits = self.mask_predictor(self.mask_head(maps)).split([len(of_image) for of_image in positives])
        masks = [target["masks"] for target in targets]
        of_masks = [
            mask_loss(
                torch.cat(logits[own]), positives[own], masks[own], torch.cat(classes[own]), objects[own]
            )
            for own in (slice(worker, None, self.num_workers) for worker in range(self.num_workers))
        ]
        return found | {"loss_mask": torch.stack(of_masks).mean()}

    def _detect(self, features: Features, proposals: list[torch.Tensor], sizes: Sizes) -> Targets:
        maps = self._pool(self.box_roi_pool, features, proposals, sizes)
        found = self.postprocess_detections(*self.box_predictor(self.box_head(maps)), proposals, sizes)
        boxes, _, labels = found
        names = ("boxes", "scores", "labels", "masks")
        if not self.has_mask():
            return [dict(zip(names[:3], of_image, strict=True)) for of_image in zip(*found, strict=True)]
        maps = self._pool(self.mask_roi_pool, features, boxes, sizes)
        masks = roi_heads.maskrcnn_inference(self.mask_predictor(self.mask_head(maps)), labels)
        return [dict(zip(names, of_image, strict=True)) for of_image in zip(*found, masks, strict=True)]

    def _pool(
        self, pool: nn.Module, features: Features, rois: list[torch.Tensor], sizes: Sizes
    ) -> torch.Tensor:
        """What a head takes of each RoI: its part of the maps, for neck=c4 through the shared stage."""
        maps: torch.Tensor = pool(features, rois, sizes)
        if self.last_stage is None:
            return maps
        if (
            not len(maps) and active_peers(self.last_stage).world_size == 1
        ):  # its norms have nothing to normalize
            return maps.new_zeros(0, self.box_predictor.cls_score.in_features, 1, 1)
        return self.last_stage(maps)  # type: ignore[no-any-return]

    def run_shapes(self, num_images: int) -> None:
        """Runs the heads on the meta device, on as many RoIs as training has at most."""
        pool, sampler = self.box_roi_pool, self.fg_bg_sampler
        num_boxes = num_images * sampler.num
        num_masks = max(1, int(num_boxes * sampler.positive_share))
        maps = torch.zeros(num_boxes, self.channels, *pool.output_size, device="meta")
        maps = maps if self.last_stage is None else self.last_stage(maps)
        self.box_predictor(self.box_head(maps))
        if not self.has_mask():
            return
        maps = maps[:num_masks]
        if self.last_stage is None:
            maps = torch.zeros(num_masks, self.channels, *self.mask_roi_pool.output_size, device="meta")
        self.mask_predictor(self.mask_head(maps))


def box_loss(deltas: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor, beta: float) -> torch.Tensor:
    """Smooth L1 of the true class's box, summed over the foreground and divided by all RoIs.

    Args:
        deltas: (R, 4 * classes).
        labels: (R,), 0 = background.
        targets: (R, 4).
        beta: 1 in Detectron, 1/9 in torchvision.
    """
    foreground = torch.where(labels > 0)[0]
    chosen = deltas.view(len(labels), -1, 4)[foreground, labels[foreground]]
    return F.smooth_l1_loss(chosen, targets[foreground], beta=beta, reduction="sum") / len(labels)


def mask_loss(
    logits: torch.Tensor,
    rois: list[torch.Tensor],
    masks: list[torch.Tensor],
    labels: torch.Tensor,
    matches: list[torch.Tensor],
) -> torch.Tensor:
    """Mean binary cross-entropy of the true class's mask, torchvision's; few masks at once become floating point.

    Args:
        logits: (R, classes, M, M), of the foreground alone.
        rois: of each image, (R_i, 4).
        masks: of each image's objects, (n_i, H, W).
        labels: (R,).
        matches: which object each RoI is of, (R_i,).
    """
    size = logits.shape[-1]
    targets = [
        roi_heads.project_masks_on_boxes(some, boxes, own, size)
        for of_image in zip(masks, rois, matches, strict=True)
        for some, boxes, own in _few_masks(*of_image)
    ]
    if not len(logits):
        return logits.sum() * 0
    chosen = logits[torch.arange(len(labels), device=labels.device), labels]
    return F.binary_cross_entropy_with_logits(chosen, torch.cat(targets))


def _few_masks(
    masks: torch.Tensor, rois: torch.Tensor, matches: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Masks, RoIs and matches of an image; of many masks those of some RoIs at a time."""
    if len(masks) <= _MASKS_AT_ONCE:
        yield masks, rois, matches
        return
    for some, own in zip(*(torch.split(t, _MASKS_AT_ONCE) for t in (rois, matches)), strict=True):
        yield masks[own], some, torch.arange(len(own), device=own.device)


def _mean_over_space() -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _conv_stack(channels: int, width: int, norm: NormFactory | None, conv: ConvFactory) -> nn.Sequential:
    widths = [channels] + [width] * _NUM_CONVS
    return nn.Sequential(*(ConvNorm(a, b, norm, conv) for a, b in itertools.pairwise(widths)))


def _box_head(
    config: MaskRCNNConfig, channels: int, size: int, norm: NormFactory | None, conv: ConvFactory
) -> tuple[nn.Sequential | TwoMLPHead, int]:
    """The FPN's box head, and how many channels it gives."""
    assert config.fc_width is not None, "checked by MaskRCNNConfig"
    if config.box_head == "2fc":
        return TwoMLPHead(channels * size**2, config.fc_width), config.fc_width
    layers: list[Any] = [*_conv_stack(channels, config.head_width, norm, conv), nn.Flatten()]
    layers += [nn.Linear(config.head_width * size**2, config.fc_width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers), config.fc_width
