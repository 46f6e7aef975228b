"""Frozen batch normalization's fields: BN* of Tables 4 to 6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import science_field
from gnexp.config.norm import NormName
from gnexp.nn.kinds.batch_norm import BatchNormConfig
from gnexp.nn.kinds.constants import NormWithEps


@dataclass(frozen=True, kw_only=True)
class FrozenBatchNormConfig(NormWithEps):
    """A fixed affine map a channel, made of what init= brings; it trains nothing."""

    builder: ClassVar = "gnexp.nn.frozen_bn:build_frozen_bn"
    names: ClassVar = {
        "frozen_bn": NormName(
            "BN*",
            "frozen batch normalization",
            "batch normalization frozen at the statistics of pre-training: a fixed affine map",
            hue="brown",
            marker="d",
        )
    }
    trains_gamma: ClassVar = False
    freezes: ClassVar = BatchNormConfig.kind

    kind: str = science_field("frozen_bn")

    def torch_layer(self, channels: str) -> str:
        return f"torch.nn.BatchNorm2d({channels}{self.eps_argument})"
