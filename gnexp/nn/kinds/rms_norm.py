"""Fields of the norms that divide by a root mean square: over groups, and filter response normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import ANY_TASK, science_field
from gnexp.config.norm import NormConfig, NormName
from gnexp.nn.kinds.constants import NormWithEps
from gnexp.nn.kinds.grouping import GroupedNorm


@dataclass(frozen=True, kw_only=True)
class GroupRMSNormConfig(GroupedNorm):
    """Group normalization that subtracts no mean: a sample's groups are divided by their root mean square."""

    builder: ClassVar = "gnexp.nn.rms_norm:build_group_rms_norm"
    module: ClassVar = "gnexp.library.sample_norms:GroupRMSNorm"
    names: ClassVar = {
        "grms": NormName(
            "GRMS",
            "root mean square normalization of groups",
            "group normalization without subtracting the mean",
            hue="violet",
            marker="h",
        )
    }
    site_words: ClassVar = ("grms",)

    kind: str = science_field("grms")


@dataclass(frozen=True, kw_only=True)
class FilterResponseNormConfig(NormWithEps):
    """A sample's channels are divided each by its root mean square; the nonlinearity is a learned threshold."""

    builder: ClassVar = "gnexp.nn.rms_norm:build_filter_response_norm"
    module: ClassVar = "gnexp.library.sample_norms:FilterResponseNorm"
    names: ClassVar = {
        "frn": NormName(
            "FRN",
            "filter response normalization",
            "filter response normalization with its thresholded linear unit",
            hue="magenta",
            marker="X",
        )
    }
    site_words: ClassVar = ("frn",)
    statistics_over: ClassVar = "sample"
    own_activation: ClassVar = True

    kind: str = science_field("frn")
    # the paper's, for maps of more than one value
    eps: float = science_field(1e-6, gt=0, title="eps added to the variance", left_open={ANY_TASK: ""})

    @classmethod
    def at_site(cls, word: str, backbone: NormConfig, num_groups: int) -> NormConfig:
        return cls()
