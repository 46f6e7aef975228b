"""The fields of torchvision's classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import science_field
from gnexp.config.kinds import import_text
from gnexp.config.norm import NormConfig
from gnexp.models.kinds.foreign import ForeignConfig


@dataclass(frozen=True, kw_only=True)
class TorchvisionConfig(ForeignConfig):
    """A network of torchvision.models, such as mobilenet_v3_small."""

    builder: ClassVar = "gnexp.models.foreign:build_torchvision"
    package: ClassVar = "torchvision"

    kind: str = science_field("torchvision")

    def torchvision_constructor(self, norm: NormConfig, num_classes: int) -> str:
        # By name: it needs torch.
        find = import_text("gnexp.models.foreign_export:torchvision_constructor")
        return str(find(self, norm, num_classes))
