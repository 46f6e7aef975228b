"""Fields of layer normalization over channels per position (ConvNeXt's, Liu et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import ANY_TASK, science_field
from gnexp.config.norm import NormConfig, NormName
from gnexp.nn.kinds.constants import NormWithEps


@dataclass(frozen=True, kw_only=True)
class ChannelLayerNormConfig(NormWithEps):
    """The channels of each position have statistics of their own; ln is over a sample's positions too."""

    builder: ClassVar = "gnexp.nn.channel_layer_norm:build_channel_layer_norm"
    module: ClassVar = "gnexp.library.sample_norms:LayerNorm2d"
    names: ClassVar = {
        "ln2d": NormName(
            "LN-2d",
            "layer normalization over channels per position",
            "layer normalization of the channels of each position alone, as in ConvNeXt",
            hue="leaf",
            marker="<",
        )
    }
    site_words: ClassVar = ("ln2d",)
    statistics_over: ClassVar = "sample"

    kind: str = science_field("ln2d")
    # ConvNeXt's code
    eps: float = science_field(1e-6, gt=0, title="eps added to the variance", left_open={ANY_TASK: ""})

    @classmethod
    def at_site(cls, word: str, backbone: NormConfig, num_groups: int) -> NormConfig:
        return cls()
