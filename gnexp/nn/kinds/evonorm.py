"""EvoNorm-S0's fields (Liu et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import science_field
from gnexp.config.norm import NormName
from gnexp.nn.kinds.grouping import GroupedNorm


@dataclass(frozen=True, kw_only=True)
class EvoNormS0Config(GroupedNorm):
    """Norm and activation in one: x sigmoid(v x) over the std of a sample's groups of channels."""

    builder: ClassVar = "gnexp.nn.evonorm:build_evonorm_s0"
    module: ClassVar = "gnexp.library.sample_norms:EvoNormS0"
    names: ClassVar = {
        "evonorm_s0": NormName(
            "EvoNorm-S0",
            "EvoNorm-S0",
            "a norm and activation in one, found by search: x times its own sigmoid, over the std of groups",
            hue="rose",
            marker="p",
        )
    }
    site_words: ClassVar = ("evonorm_s0",)
    own_activation: ClassVar = True

    kind: str = science_field("evonorm_s0")
