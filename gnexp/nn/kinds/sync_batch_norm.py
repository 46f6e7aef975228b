"""Synchronized batch normalization's fields (Peng et al. 2018): those of batch normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import science_field
from gnexp.config.norm import NormName
from gnexp.nn.kinds.batch_norm import BatchNormConfig


@dataclass(frozen=True, kw_only=True)
class SyncBatchNormConfig(BatchNormConfig):
    """Statistics over all workers' images of a step."""

    builder: ClassVar = "gnexp.nn.sync_batch_norm:build_sync_bn"
    module: ClassVar = None
    names: ClassVar = {
        "sync_bn": NormName(
            "sync BN",
            "synchronized batch normalization",
            "batch normalization over the images of all workers; the paper's numbers of it are another work's",
            hue="gold",
            marker="v",
        )
    }
    site_words: ClassVar = ("sync_bn",)
    statistics_over: ClassVar = "all_workers"
    needs_resident_workers: ClassVar = True

    kind: str = science_field("sync_bn")
