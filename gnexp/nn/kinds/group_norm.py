"""Group normalization's fields (Wu & He 2018, Eq. 7), alone and with standardized weights (Qiao et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import hardware_field, science_field, value_of
from gnexp.config.norm import NormConfig, NormName
from gnexp.nn.kinds.grouping import GroupedNorm

_LN, _IN = "ln", "in"


@dataclass(frozen=True, kw_only=True)
class GroupNormConfig(GroupedNorm):
    """Statistics of a sample's groups of channels.

    LN is gn with num_groups=1 and IN is gn with channels_per_group=1 (Section 3.1), so neither has a kind of its own.
    """

    builder: ClassVar = "gnexp.nn.group_norm:build_group_norm"
    module: ClassVar = "gnexp.library.sample_norms:GroupNorm"
    names: ClassVar = {
        "gn": NormName("GN", "group normalization", hue="blue"),
        _LN: NormName("LN", "layer normalization", hue="green", marker="^"),
        _IN: NormName("IN", "instance normalization", hue="plum", marker="D"),
    }
    site_words: ClassVar[tuple[str, ...]] = ("gn", _LN)
    takes_groups: ClassVar = True

    kind: str = science_field("gn")
    # fused = Triton, composed = torch's operators
    impl: str = hardware_field("auto", choices=("auto", "fused", "composed"))

    @classmethod
    def at_site(cls, word: str, backbone: NormConfig, num_groups: int) -> NormConfig:
        own = {"eps": value_of(backbone, "eps"), "impl": value_of(backbone, "impl")}
        given = {name: value for name, value in own.items() if value is not None}
        return cls(num_groups=1 if word == _LN else num_groups, **given)

    def torch_layer(self, channels: str) -> str | None:
        groups = str(self.num_groups) if self.num_groups else f"{channels} // {self.channels_per_group}"
        return f"torch.nn.GroupNorm({groups}, {channels}{self.eps_argument})"

    @property
    def word(self) -> str:
        if self.num_groups == 1:
            return _LN
        return _IN if self.channels_per_group == 1 else self.kind


@dataclass(frozen=True, kw_only=True)
class StandardizedGroupNormConfig(GroupNormConfig):
    """Group normalization behind convolutions whose weights are standardized (Qiao et al. 2019)."""

    conv_builder: ClassVar = "gnexp.nn.weight_standardization:build_standardized_conv"
    names: ClassVar = {
        "gn_ws": NormName("GN+WS", "group normalization with weight standardization", hue="navy", marker="P")
    }
    site_words: ClassVar = ("gn_ws",)

    kind: str = science_field("gn_ws")

    def torch_layer(self, channels: str) -> str | None:
        return None  # torch has none with such convolutions

    @property
    def word(self) -> str:
        return self.kind
