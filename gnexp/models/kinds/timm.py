"""The fields of timm's classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import science_field
from gnexp.models.kinds.foreign import ForeignConfig


@dataclass(frozen=True, kw_only=True)
class TimmConfig(ForeignConfig):
    """A network of timm, such as convnext_femto."""

    builder: ClassVar = "gnexp.models.foreign:build_timm"
    package: ClassVar = "timm"
    extra: ClassVar = "timm"

    kind: str = science_field("timm")
