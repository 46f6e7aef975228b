"""The fields of the garments in motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import require, science_field
from gnexp.data.kinds.fashion import ExposedConfig
from gnexp.data.kinds.kinetics import ClipsConfig

NUM_MOTIONS = 8  # gnexp/data/generated/motions.py


@dataclass(frozen=True, kw_only=True)
class FashionClipsConfig(ClipsConfig, ExposedConfig):
    """Videos that are generated from the garments; the class is the motion."""

    builder: ClassVar = "gnexp.data.generated.fashion_clips:open_fashion_clips"
    is_tasks_own: ClassVar = True
    is_generated: ClassVar = True
    exposed: ClassVar = "video"
    sha256_of: ClassVar[tuple[str, ...]] = (*ExposedConfig.sha256_of, "exposure", "motions")

    kind: str = science_field("fashion_clips")
    channels: int = science_field(1, choices=(1,), told_by="data")
    num_classes: int = science_field(NUM_MOTIONS, choices=(NUM_MOTIONS,), told_by="data")
    # a mirror turns left into right
    flip: bool = science_field(False, choices=(False,), told_by="augmentation")

    # directed, or undirected: each motion forward in half of its videos; None = directed
    motions: str | None = science_field(
        None, choices=("directed", "undirected"), title="set of motions", told_by="data"
    )

    def check_together(self) -> None:
        if self.motions == "directed":
            object.__setattr__(self, "motions", None)  # before any hash: spelled out it is the same run
        super().check_together()
        for key in ("num_train", "num_val"):
            number = getattr(self, key)
            require(
                number is None or number >= NUM_MOTIONS,
                f"data.{key} must be at least {NUM_MOTIONS}, one video a motion, got {number}",
            )
