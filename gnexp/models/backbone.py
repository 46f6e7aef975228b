"""A classifier's ResNet as the backbone of a detector, with or without a feature pyramid (FPN, Lin et al. 2017)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from gnexp.models.kinds.mask_rcnn import MaskRCNNConfig
from gnexp.models.resnet import BasicBlock, Bottleneck, ResNet
from gnexp.nn.norm_act import ConvFactory, NormFactory


class Backbone(nn.Module):
    """Images (N, channels, H, W) -> maps (N, out_channels, h, w) by name, the finest first.

    With an FPN: one for each of the last fpn_stages stages, named 0, 1, ..., and one of half the last one's size, named
    pool, for anchors alone. Without: the last stage's map, named 0.

    Args:
        config: neck, fpn_stages, fpn_width and freeze_at.
        body: a ResNet without its classifier, and for neck=c4 without its last stage.
        fpn_norm: of the FPN's laterals and outputs, neither with a ReLU; None = a bias instead.
        fpn_conv: what that norm makes of the FPN's convolutions.
    """

    def __init__(
        self, config: MaskRCNNConfig, body: ResNet, fpn_norm: NormFactory | None, fpn_conv: ConvFactory
    ) -> None:
        super().__init__()
        self.body = body
        self.fpn: nn.Module | None = None
        self.num_maps = 1
        self.out_channels = num_channels(body.stages[-1])
        if config.neck == "fpn":
            assert config.fpn_stages is not None and config.fpn_width is not None, "checked by MaskRCNNConfig"
            self.num_maps, self.out_channels = config.fpn_stages, config.fpn_width
            channels = [num_channels(stage) for stage in body.stages[-self.num_maps :]]
            layer = None if fpn_norm is None else lambda width: fpn_norm(width, relu=False)
            self.fpn = pyramid = FeaturePyramidNetwork(channels, self.out_channels, LastLevelMaxPool(), layer)
            for convs in (*pyramid.inner_blocks, *pyramid.layer_blocks):
                convs[0] = fpn_conv(convs[0])
        self._frozen = (
            [body.conv1, body.bn1, *body.stages[: config.freeze_at - 1]] if config.freeze_at else []
        )
        for module in self._frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> Backbone:
        """Sets the mode; what is frozen stays in evaluation, so that its running statistics do not move."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.body.stem(images)
        maps: list[torch.Tensor] = []
        for stage in self.body.stages:
            x = stage(x)
            maps.append(x)
        named = OrderedDict((str(level), x) for level, x in enumerate(maps[-self.num_maps :]))
        return named if self.fpn is None else self.fpn(named)


def num_channels(stage: nn.Module) -> int:
    """Channels that a stage gives: those of its last block's last norm."""
    (*_, block) = stage.children()
    assert isinstance(block, BasicBlock | Bottleneck)
    return block.last_norm.channels
