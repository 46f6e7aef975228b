"""Mask R-CNN (He et al. 2017) on a gnexp ResNet: R-C4 and R-FPN, with a norm of choice at each site.

Settings are Detectron's, the code that the paper follows; parts are torchvision's, and so are the parameters' names.
Differences that are left: a step's images are all wide or all tall, where Detectron sorts each worker's own; anchors
that cross an image's border train too; each image keeps its own best proposals, where Detectron keeps twice as many of
a worker's two images together.

Images of different size are padded with zeros (the mean) to the largest, and the padding enters the statistics of group
and layer normalization as it does those of batch normalization: only for images of equal size is an image's output
independent of its batch-mates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from gnexp.config import NormConfig
from gnexp.config.data import PAD_MULTIPLE
from gnexp.models.backbone import Backbone, num_channels
from gnexp.models.detector import DetectorInputs
from gnexp.models.kinds.mask_rcnn import MaskRCNNConfig
from gnexp.models.resnet import build_resnet
from gnexp.models.roi_heads import RoIHeads
from gnexp.models.rpn import WorkersRPN
from gnexp.nn.norm_act import ConvFactory, NormFactory, plain_conv
from gnexp.nn.norms import conv_factory, norm_factory
from gnexp.nn.peers import ALONE
from gnexp.nn.sampler import KeyedSampler
from gnexp.nn.sync_batch_norm import active_peers
from gnexp.ops.resizing import resized_size

_ASPECT_RATIOS = (0.5, 1.0, 2.0)


class Anchors(AnchorGenerator):  # type: ignore[misc]
    """torchvision's, in single precision at least: in bfloat16 a coordinate of 1000 pixels is off by up to 4."""

    def forward(self, image_list: ImageList, feature_maps: list[torch.Tensor]) -> list[torch.Tensor]:
        # Of the maps it takes size, dtype and device.
        wide = [maps[:1, :1].to(torch.promote_types(maps.dtype, torch.float32)) for maps in feature_maps]
        anchors: list[torch.Tensor] = super().forward(image_list, wide)
        return anchors


class ImageTransform(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Normalizes, resizes, pads to one batch; detections go back to each image's own size. Nothing in it is random.

    Args:
        mean: of pixel values in [0, 1], one per channel.
        std: likewise.
        min_size: pixels of the shorter side; None = images keep their size.
        max_size: pixels of the longer side at most.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], min_size: int | None, max_size: int | None
    ) -> None:
        super().__init__(min_size, max_size, list(mean), list(std), size_divisible=PAD_MULTIPLE)
        self.is_resizing = min_size is not None
        self.peers = ALONE  # the processes with whose images it pads to one size

    def max_by_axis(self, the_list: list[list[int]]) -> list[int]:
        """The size that images are padded to: where statistics go over all workers, that of every process's images."""
        return self.peers.largest(super().max_by_axis(the_list))

    def resize(self, image: torch.Tensor, target: Any = None) -> tuple[torch.Tensor, Any]:
        """An image, (C, H, W), and what is in it at the size that it is trained at, which masks may have already."""
        if not self.is_resizing:
            return image, target
        before = (image.shape[-2], image.shape[-1])
        size = resized_size(*before, self.min_size[0], self.max_size)
        image = F.interpolate(image[None], size, mode="bilinear", align_corners=False)[0]
        if target is not None:
            target["boxes"] = resize_boxes(target["boxes"], before, size)
            if "masks" in target and target["masks"].shape[-2:] != size:
                target["masks"] = F.interpolate(target["masks"][:, None].float(), size)[:, 0].byte()
        return image, target

    def postprocess(self, result: Any, image_shapes: Any, original_image_sizes: Any) -> Any:
        """Detections on each image's own pixels; masks become that large only when one is asked for."""
        masks = [found.pop("masks", None) for found in result]  # of no image in training
        result = super().postprocess(result, image_shapes, original_image_sizes)
        for found, small, size in zip(result, masks, original_image_sizes, strict=False):
            if small is not None:
                found["masks"] = PastedMasks(small, found["boxes"], size)
        return result


class PastedMasks(Sequence[torch.Tensor]):
    """Masks of detections, (1, H, W) each, in [0, 1]: a hundred of a large image would take gigabytes at once.

    Args:
        small: as the mask head gives them, (n, 1, M, M).
        boxes: where they belong, (n, 4) in pixels.
        size: H and W of the image.
    """

    def __init__(self, small: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> None:
        self._small, self._boxes, self._size = small, boxes, size

    def __len__(self) -> int:
        return len(self._small)

    def __getitem__(self, row: Any) -> Any:
        own = range(len(self))[row]  # so that what iterates ends
        small, box = self._small[own : own + 1], self._boxes[own : own + 1]
        return paste_masks_in_image(small, box, self._size)[0]


class MaskRCNN(GeneralizedRCNN):  # type: ignore[misc]
    """Detects objects and their masks; without a mask head it is Faster R-CNN, and nothing of it has masks.

    In training `model(images, targets)` gives a dict of losses, in evaluation `model(images)` a dict for each image:
    boxes (n, 4) in pixels, labels (n,), scores (n,) and a sequence of n masks, (1, H, W) in [0, 1], all of the image's
    own size. Images are (C, H, W) in [0, 1]; targets have boxes (n, 4), labels (n,) from 1, and masks (n, H, W), of the
    image's size or of the one that it is resized to.

    A (N, C, H, W) tensor on the meta device runs shapes alone, and gives nothing.
    """

    classifier_prefixes = (
        "backbone.body.",
        "roi_heads.last_stage.",
    )  # of the parameters that a classifier has too

    def forward(self, images: Any, targets: list[dict[str, torch.Tensor]] | None = None) -> Any:
        if isinstance(images, torch.Tensor) and images.is_meta:
            return self.run_shapes(images)
        self.transform.peers = active_peers(self)
        return super().forward(images, targets)

    def run_shapes(self, images: torch.Tensor) -> None:
        """Runs (N, C, H, W) images of the meta device through everything that has a norm.

        Raises:
            ValueError: a norm has one value to normalize.
        """
        self.rpn.head(list(self.backbone(images).values()))
        self.roi_heads.run_shapes(len(images))

    def from_classifier(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A classifier's weights under the names that they have here, without its last layer, which has no place."""
        shared = f"layer{self.backbone.body.num_stages + 1}."  # of neck=c4; an FPN's backbone has every stage
        return {
            f"roi_heads.last_stage.{name.removeprefix(shared)}"
            if name.startswith(shared)
            else f"backbone.body.{name}": value
            for name, value in weights.items()
            if not name.startswith("fc.")
        }

    def classifier_parts(self) -> list[nn.Module]:
        """What is a classifier's, in its order."""
        shared = self.roi_heads.last_stage
        return [self.backbone.body] if shared is None else [self.backbone.body, shared]


def build_mask_rcnn(
    config: MaskRCNNConfig, norm: NormFactory, inputs: DetectorInputs, conv: ConvFactory
) -> MaskRCNN:
    """A Mask R-CNN as configured, not yet initialised; arguments as build_detector's.

    A site's norm chooses its convolutions as the backbone's does the backbone's: the FPN's, and those of the 4conv1fc
    box head and of the mask head. The RPN, the predictors and the mask head's deconvolution have no norm behind them
    and stay plain.
    """
    (fpn_norm, fpn_conv), (box_norm, box_conv), (mask_norm, mask_conv) = (
        _site_factories(site, inputs.workers) for site in (config.fpn_norm, config.box_norm, config.mask_norm)
    )
    body = build_resnet(config, norm, channels=len(inputs.mean), num_classes=1, conv=conv)
    del body.fc
    last_stage = None
    if config.neck == "c4":
        stage = body.stages[-1]
        last_stage = stage, num_channels(stage)
        delattr(body, f"layer{body.num_stages}")
        body.num_stages -= 1
    backbone = Backbone(config, body, fpn_norm, fpn_conv)
    heads = RoIHeads(
        config,
        channels=backbone.out_channels,
        num_classes=inputs.num_classes + 1,
        box_norm=box_norm,
        mask_norm=mask_norm,
        box_conv=box_conv,
        mask_conv=mask_conv,
        last_stage=last_stage,
        has_masks=inputs.has_masks,
    )
    transform = ImageTransform(inputs.mean, inputs.std, inputs.min_size, inputs.max_size)
    return MaskRCNN(backbone, _build_rpn(config, backbone), heads, transform)


def _site_factories(site: NormConfig | str | None, workers: int) -> tuple[NormFactory | None, ConvFactory]:
    assert not isinstance(site, str), "resolved by RunConfig"
    return (None, plain_conv) if site is None else (norm_factory(site, workers), conv_factory(site))


def _build_rpn(config: MaskRCNNConfig, backbone: Backbone) -> nn.Module:
    sizes = (config.anchor_sizes,) if config.neck == "c4" else tuple((size,) for size in config.anchor_sizes)
    anchors = Anchors(sizes, (_ASPECT_RATIOS,) * len(sizes))
    pre_nms, post_nms = (
        dict(zip(("training", "testing"), numbers, strict=True))
        for numbers in (config.rpn_pre_nms, config.rpn_post_nms)
    )
    rpn = WorkersRPN(
        anchors,
        RPNHead(backbone.out_channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=config.rpn_anchors,
        positive_fraction=0.5,
        pre_nms_top_n=pre_nms,
        post_nms_top_n=post_nms,
        nms_thresh=0.7,
    )
    rpn.fg_bg_sampler = KeyedSampler(config.rpn_anchors, 0.5, stream="anchors")
    return rpn


@torch.no_grad()
def initialize_heads(model: MaskRCNN, generator: torch.Generator) -> None:
    """Draws what is not a classifier's, as Detectron does; every bias 0.

    N(0, 0.01) in the RPN and the box classifier, N(0, 0.001) in the box regression, Xavier's uniform draw in the FPN
    and the linear layers, He's (fan out) in the convolutions of the box and the mask head.

    Source: Detectron's FPN.py, rpn_heads.py, fast_rcnn_heads.py and mask_rcnn_heads.py.
    """
    own = {id(module) for part in model.classifier_parts() for module in part.modules()}
    for name, module in model.named_modules():
        if id(module) in own or not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        if name == "roi_heads.box_predictor.bbox_pred":
            nn.init.normal_(module.weight, std=0.001, generator=generator)
        elif name.startswith("rpn.") or name == "roi_heads.box_predictor.cls_score":
            nn.init.normal_(module.weight, std=0.01, generator=generator)
        elif name.startswith("backbone.fpn.") or isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=1, generator=generator)
        else:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
