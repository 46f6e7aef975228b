"""A ResNet's fields (He et al. 2016), and those that it shares with what is made of one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import require, science_field
from gnexp.config.model import ModelConfig, dashed
from gnexp.config.norm import NormConfig
from gnexp.config.task import CLASSIFICATION
from gnexp.models.kinds.stages import StagedConfig

POOLED_STEM = "conv7x7_pool"
_TORCHVISIONS: dict[tuple[str, tuple[int, ...]], str] = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}


@dataclass(frozen=True, kw_only=True)
class ResNetShape(StagedConfig):
    """Stem and stages of residual blocks; of a detector its backbone's."""

    block: str = science_field("basic", choices=("basic", "bottleneck"), told_by="model")
    stem: str = science_field("conv3x3", choices=("conv3x3", POOLED_STEM), told_by="model")
    stem_stride: int = science_field(2, ge=1, unit="pixels", told_by="model")
    zero_init_last: bool = science_field(True)  # gamma 0 in each block's last norm (Section 4.1)

    def describe(self) -> str:
        return (
            f"{self.block} blocks {dashed(self.blocks)}, widths {dashed(self.widths)}, "
            f"{self.stem.replace('_', ' + ')} stem of stride {self.stem_stride}"
        )

    def resolved(self, norm: NormConfig, *, is_without_masks: bool) -> ModelConfig:
        """Of a norm without a gamma that could start at 0 either word for zero_init_last is the same run."""
        return self if norm.trains_gamma else dataclasses.replace(self, zero_init_last=True)


@dataclass(frozen=True, kw_only=True)
class ClassifyingResNet(ResNetShape):
    """With a linear layer behind the last stage."""

    # the paper does not state it; the author's code
    classifier_std: float = science_field(
        0.01, ge=0, title="std of the classifier's first weights", left_open={CLASSIFICATION: ""}
    )


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(ClassifyingResNet):
    """A classifier of images."""

    builder: ClassVar = "gnexp.models.resnet:build_resnet"
    task: ClassVar = CLASSIFICATION

    kind: str = science_field("resnet")

    def torchvision_constructor(self, norm: NormConfig, num_classes: int) -> str:
        if (self.stem, self.stem_stride, self.widths) != (POOLED_STEM, 2, (64, 128, 256, 512)):
            raise ValueError(
                f"torchvision's ResNet has a 7x7 stem and widths 64 to 512, model={self.name} has "
                f"stem={self.stem} and widths={list(self.widths)}"
            )
        layer = norm.torch_layer("c")
        require(
            layer is not None,
            f"torchvision's ResNet has a norm after every convolution, norm={norm.word} has none",
        )
        arguments = f"num_classes={num_classes}"
        if layer != "torch.nn.BatchNorm2d(c)":  # which it has anyway
            arguments += f", norm_layer=lambda c: {layer}"
        name = _TORCHVISIONS.get((self.block, self.blocks))
        if name:
            return f"torchvision.models.{name}({arguments})"
        block = {"basic": "BasicBlock", "bottleneck": "Bottleneck"}[self.block]
        module = "torchvision.models.resnet"
        return f"{module}.ResNet({module}.{block}, {list(self.blocks)}, {arguments})"
