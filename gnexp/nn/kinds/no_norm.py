"""No normalization: a learned bias per channel, which a normalized convolution does without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import science_field
from gnexp.config.norm import NormConfig, NormName


@dataclass(frozen=True, kw_only=True)
class NoNormConfig(NormConfig):
    """No fields: there is nothing to choose."""

    builder: ClassVar = "gnexp.nn.no_norm:build_no_norm"
    names: ClassVar = {"none": NormName("no norm", "no normalization", hue="grey", marker="8")}
    trains_gamma: ClassVar = False

    kind: str = science_field("none")
