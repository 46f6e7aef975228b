"""The fields of detection sets in COCO's layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.data import DataConfig
from gnexp.config.fields import require, science_field
from gnexp.config.task import DETECTION
from gnexp.data.kinds.folder import FolderConfig


@dataclass(frozen=True, kw_only=True)
class BoxesConfig(DataConfig):
    """Images with boxes, which the model resizes."""

    task: ClassVar = DETECTION

    channels: int = science_field(1, choices=(1, 3), told_by="data")  # gray or RGB
    # the model resizes an image's shorter side to min_size, unless its longer one would pass max_size
    min_size: int = science_field(ge=1, unit="pixels", told_by="data")
    max_size: int = science_field(ge=1, unit="pixels", told_by="data")
    # false = masks are not read, and the detector has no mask head: Faster R-CNN; None or true = they are
    masks: bool | None = science_field(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.min_size <= self.max_size,
            f"data.min_size must be at most data.max_size={self.max_size}, got {self.min_size}",
        )
        if self.masks:
            object.__setattr__(self, "masks", None)  # before any hash: spelled out it is the same run

    def describe(self) -> list[str]:
        is_one = self.min_size == self.max_size
        own = [] if is_one else [f"shorter side {self.min_size}, longer side at most {self.max_size}"]
        return super().describe() + own

    @property
    def is_resized(self) -> bool:
        """Whether a detector resizes the images; of the small scale's data every one is as large as it is to be."""
        return not self.min_size == self.image_size == self.max_size

    @property
    def is_without_masks(self) -> bool:
        return self.masks is False


@dataclass(frozen=True, kw_only=True)
class CocoConfig(BoxesConfig, FolderConfig):
    """data.root/{train2017,val2017}/ and data.root/annotations/."""

    survey: ClassVar = "gnexp.data.checks.coco:survey_coco"
    archives: ClassVar = {"coco": "gnexp.data.prepare.coco:plan_coco"}
    builder: ClassVar = "gnexp.data.coco.dataset:open_coco"
    titles: ClassVar = {"coco": "COCO"}

    kind: str = science_field("coco")

    def check_together(self) -> None:
        require(
            self.image_size == self.min_size,
            f"data.image_size must be data.min_size={self.min_size} for kind {self.kind}, got {self.image_size}",
        )
