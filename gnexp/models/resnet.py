"""Residual networks (He et al. 2016) that take any norm; names and weights are torchvision's."""

from __future__ import annotations

import torch
from torch import nn

from gnexp.models.kinds.resnet import ResNetShape
from gnexp.nn.norm_act import ConvFactory, NormAct, NormFactory, plain_conv
from gnexp.nn.pointwise import StridedPointwise


def _conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(
        self, channels_in: int, width: int, stride: int, norm: NormFactory, conv: ConvFactory
    ) -> None:
        super().__init__()
        self.conv1 = conv(_conv(channels_in, width, 3, stride))
        self.bn1 = norm(width)
        self.conv2 = conv(_conv(width, width, 3))
        self.bn2 = norm(width).before_sum()
        self.downsample = _shortcut(channels_in, width, stride, norm, conv)

    @property
    def last_norm(self) -> NormAct:
        """The norm before the residual sum."""
        return self.bn2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out: torch.Tensor = self.bn2(self.conv2(self.bn1(self.conv1(x))), residual=identity)
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3 (which takes the stride), 1x1 convolutions; the last is four times wider."""

    expansion = 4

    def __init__(
        self, channels_in: int, width: int, stride: int, norm: NormFactory, conv: ConvFactory
    ) -> None:
        super().__init__()
        self.conv1 = conv(_conv(channels_in, width, 1))
        self.bn1 = norm(width)
        self.conv2 = conv(_conv(width, width, 3, stride))
        self.bn2 = norm(width)
        self.conv3 = conv(_conv(width, width * self.expansion, 1))
        self.bn3 = norm(width * self.expansion).before_sum()
        self.downsample = _shortcut(channels_in, width * self.expansion, stride, norm, conv)

    @property
    def last_norm(self) -> NormAct:
        """The norm before the residual sum."""
        return self.bn3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        summed: torch.Tensor = self.bn3(self.conv3(out), residual=identity)
        return summed


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class ResNet(nn.Module):
    """Stem, stages named layer1, layer2, ..., global average pool, classifier.

    Args:
        config: blocks, widths and stem.
        norm: makes each norm.
        channels: of the images.
        num_classes: of the classifier.
        conv: what the norm makes of each convolution; all have a norm behind them.
    """

    def __init__(
        self,
        config: ResNetShape,
        norm: NormFactory,
        *,
        channels: int,
        num_classes: int,
        conv: ConvFactory = plain_conv,
    ) -> None:
        super().__init__()
        block = BLOCKS[config.block]
        width = config.widths[0]
        if config.stem == "conv7x7_pool":
            self.conv1 = conv(_conv(channels, width, 7, config.stem_stride))
            self.maxpool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = conv(_conv(channels, width, 3, config.stem_stride))
            self.maxpool = nn.Identity()
        self.bn1 = norm(width)
        self.num_stages = len(config.blocks)
        for stage, (num_blocks, stage_width) in enumerate(zip(config.blocks, config.widths, strict=True)):
            layers: list[nn.Module] = []
            for index in range(num_blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(block(width, stage_width, stride, norm, conv))
                width = stage_width * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(width, num_classes)

    @property
    def stages(self) -> list[nn.Module]:
        """Each of which takes the maps of the one before; the first those of the stem."""
        return [self.get_submodule(f"layer{stage + 1}") for stage in range(self.num_stages)]

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) images -> the first stage's input."""
        maps: torch.Tensor = self.maxpool(self.bn1(self.conv1(x)))
        return maps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) images -> (N, num_classes) logits."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        logits: torch.Tensor = self.fc(x.mean((2, 3)))
        return logits


def build_resnet(
    config: ResNetShape, norm: NormFactory, *, channels: int, num_classes: int, conv: ConvFactory = plain_conv
) -> ResNet:
    """A ResNet as configured, not yet initialised."""
    return ResNet(config, norm, channels=channels, num_classes=num_classes, conv=conv)


def _shortcut(
    channels_in: int, channels_out: int, stride: int, norm: NormFactory, conv: ConvFactory
) -> nn.Sequential | None:
    if stride == 1 and channels_in == channels_out:
        return None
    pointwise = conv(StridedPointwise(channels_in, channels_out, 1, stride, bias=False))
    return nn.Sequential(pointwise, norm(channels_out, relu=False))
