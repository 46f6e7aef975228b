"""Batch normalization's fields (Ioffe & Szegedy 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import ANY_TASK, science_field, value_of
from gnexp.config.norm import NormConfig, NormName
from gnexp.nn.kinds.constants import NormWithEps

_MOMENTUM = 0.1  # at a site beside a backbone whose norm has none: conf/norm/bn.yaml's


@dataclass(frozen=True, kw_only=True)
class RunningStats(NormWithEps):
    """A norm over a worker's images, which evaluates with running statistics."""

    has_running_stats: ClassVar = True
    statistics_over: ClassVar = "worker"

    # weight of the new batch in running statistics; not in the paper
    momentum: float = science_field(
        gt=0, le=1, title="weight of a batch in running statistics", left_open={ANY_TASK: ""}
    )

    def torch_layer(self, channels: str) -> str:
        return f"torch.nn.BatchNorm2d({channels}{self.eps_argument})"


@dataclass(frozen=True, kw_only=True)
class BatchNormConfig(RunningStats):
    """Statistics per worker, never synchronised."""

    builder: ClassVar = "gnexp.nn.batch_norm:build_batch_norm"
    module: ClassVar[str | None] = "gnexp.library.batch_norms:GhostBatchNorm"
    names: ClassVar = {"bn": NormName("BN", "batch normalization", hue="orange", marker="s")}
    site_words: ClassVar = ("bn",)

    kind: str = science_field("bn")

    @classmethod
    def at_site(cls, word: str, backbone: NormConfig, num_groups: int) -> NormConfig:
        eps = value_of(backbone, "eps")
        momentum = value_of(backbone, "momentum") or _MOMENTUM
        return cls(momentum=momentum) if eps is None else cls(momentum=momentum, eps=eps)
