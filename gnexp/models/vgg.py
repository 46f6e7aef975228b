"""VGG (Simonyan & Zisserman 2015) with any norm after every convolution; names and weights are torchvision's."""

from __future__ import annotations

import torch
from torch import nn

from gnexp.models.kinds.vgg import VGGConfig
from gnexp.nn.dropout import KeyedDropout
from gnexp.nn.no_norm import NoNormAct
from gnexp.nn.norm_act import ConvFactory, NormAct, NormFactory, plain_conv


class VGG(nn.Module):
    """Stages of 3x3 convolutions that each end in a pooling, then a classifier with hidden layers.

    Every convolution has a bias, before a norm too: torchvision's do.

    Args:
        config: blocks (convolutions per stage), widths, and the classifier's pooling, widths and dropout.
        norm: makes each norm.
        channels: of the images.
        num_classes: of the classifier.
        conv: what the norm makes of each convolution.
    """

    def __init__(
        self,
        config: VGGConfig,
        norm: NormFactory,
        *,
        channels: int,
        num_classes: int,
        conv: ConvFactory = plain_conv,
    ) -> None:
        super().__init__()
        features: list[nn.Module] = []
        for num_convs, width in zip(config.blocks, config.widths, strict=True):
            for _ in range(num_convs):
                features += [conv(nn.Conv2d(channels, width, 3, padding=1)), *_norm_and_relu(norm(width))]
                channels = width
            features.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*features)
        self.min_size = 2 ** len(config.blocks)  # pixels a side, of which the poolings leave one
        self.avgpool = nn.AdaptiveAvgPool2d(config.classifier_pool)
        classifier: list[nn.Module] = []
        inputs = channels * config.classifier_pool**2
        for width in config.classifier_widths:
            dropout = KeyedDropout(config.dropout, stream=f"classifier.{len(classifier) + 2}")
            classifier += [nn.Linear(inputs, width), nn.ReLU(inplace=True), dropout]
            inputs = width
        self.classifier = nn.Sequential(*classifier, nn.Linear(inputs, num_classes))

    @property
    def probed_layer(self) -> nn.Module:
        """The last convolution, VGG-16's conv5_3 (Figure 6)."""
        return [module for module in self.features if isinstance(module, nn.Conv2d)][-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) images -> (N, num_classes) logits.

        Raises:
            ValueError: images of which the poolings leave nothing.
        """
        if min(x.shape[2:]) < self.min_size:
            raise ValueError(
                f"a VGG of {self.min_size.bit_length() - 1} stages needs images of at least {self.min_size} pixels a "
                f"side, got {x.shape[2]} x {x.shape[3]}; take other data, or fewer model.blocks and model.widths"
            )
        x = self.avgpool(self.features(x))
        logits: torch.Tensor = self.classifier(x.flatten(1))
        return logits


def build_vgg(
    config: VGGConfig, norm: NormFactory, *, channels: int, num_classes: int, conv: ConvFactory = plain_conv
) -> VGG:
    """A VGG as configured, not yet initialised."""
    return VGG(config, norm, channels=channels, num_classes=num_classes, conv=conv)


def _norm_and_relu(norm: NormAct) -> list[nn.Module]:
    if isinstance(norm, NoNormAct):
        return [nn.ReLU(inplace=True)]  # its bias is the one that the convolution has already
    return [norm, nn.Identity()]  # the norm holds the ReLU, whose place torchvision counts
