"""A VGG's fields (Simonyan & Zisserman 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import require, science_field
from gnexp.config.model import dashed
from gnexp.config.norm import NormConfig
from gnexp.config.task import CLASSIFICATION
from gnexp.models.kinds.stages import StagedConfig
from gnexp.nn.kinds.constants import TORCHS_EPS

_TORCHVISIONS: dict[tuple[int, ...], str] = {
    (1, 1, 2, 2, 2): "vgg11",
    (2, 2, 2, 2, 2): "vgg13",
    (2, 2, 3, 3, 3): "vgg16",
    (2, 2, 4, 4, 4): "vgg19",
}


@dataclass(frozen=True, kw_only=True)
class VGGConfig(StagedConfig):
    """A classifier of images; blocks are the convolutions of each stage."""

    builder: ClassVar = "gnexp.models.vgg:build_vgg"
    task: ClassVar = CLASSIFICATION

    kind: str = science_field("vgg")
    classifier_pool: int = science_field(
        ge=1, title="side of the map that the classifier takes", unit="pixels", told_by="model"
    )
    classifier_widths: tuple[int, ...] = science_field(
        ge=1, title="widths of the classifier's hidden layers", told_by="model"
    )
    dropout: float = science_field(ge=0, lt=1, title="dropout of the hidden layers", told_by="model")
    # the paper does not state it; the author's code
    classifier_std: float = science_field(
        0.01, ge=0, title="std of the classifier's first weights", left_open={CLASSIFICATION: ""}
    )

    def describe(self) -> str:
        side = self.classifier_pool
        return (
            f"convolutions {dashed(self.blocks)}, widths {dashed(self.widths)}, classifier "
            f"{dashed(self.classifier_widths)} on {side} x {side} px with dropout {self.dropout}"
        )

    def torchvision_constructor(self, norm: NormConfig, num_classes: int) -> str:
        name = _TORCHVISIONS.get(self.blocks)
        shape = (self.widths, self.classifier_pool, self.classifier_widths)
        if name is None or shape != ((64, 128, 256, 512, 512), 7, (4096, 4096)):
            raise ValueError(
                f"torchvision's VGG has widths 64 to 512 and a classifier of 4096, model={self.name} has "
                f"blocks={list(self.blocks)}, widths={list(self.widths)} and a classifier of "
                f"{list(self.classifier_widths)}"
            )
        layer = norm.torch_layer("c")
        require(
            layer is None or norm.has_running_stats,
            f"torchvision's VGG takes batch normalization or no norm, not {norm.label}",
        )
        eps = getattr(norm, "eps", TORCHS_EPS)
        require(eps == TORCHS_EPS, f"torchvision's VGG takes no eps but {TORCHS_EPS}, norm.eps is {eps}")
        return f"torchvision.models.{name}{'' if layer is None else '_bn'}(num_classes={num_classes})"
