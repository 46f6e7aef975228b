"""The fields of photographs in class folders, augmented as ImageNet is (Section 4.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import require, science_field
from gnexp.config.task import CLASSIFICATION
from gnexp.data.kinds.folder import FolderConfig


@dataclass(frozen=True, kw_only=True)
class ImageFolderConfig(FolderConfig):
    """data.root/{train,val}/<class>/<file>."""

    has_val_alone: ClassVar = True
    survey: ClassVar = "gnexp.data.checks.imagefolder:survey_imagefolder"
    archives: ClassVar = {"imagenet": "gnexp.data.prepare.imagenet:plan_imagenet"}
    builder: ClassVar = "gnexp.data.images.imagefolder:ImageFolder"
    titles: ClassVar = {"imagenet": "ImageNet"}
    task: ClassVar = CLASSIFICATION

    kind: str = science_field("imagefolder")
    channels: int = science_field(3, choices=(3,), told_by="data")
    # random-resized crop: share of the area, and width by height
    crop_area: tuple[float, ...] = science_field(told_by="augmentation")
    crop_aspect: tuple[float, ...] = science_field(told_by="augmentation")
    # strength of brightness, contrast and saturation
    jitter: float | None = science_field(None, ge=0, le=1, told_by="augmentation")
    lighting: float | None = science_field(None, ge=0, told_by="augmentation")  # strength of PCA lighting
    # shorter side before the centre crop
    eval_resize: int = science_field(unit="pixels", told_by="data")
    # scaled = JPEGs decoded at the half, quarter or eighth that still covers the crop: other pixels, faster for large
    # files; None = whole
    decoder: str | None = science_field(None, choices=("scaled",))

    def check_together(self) -> None:
        for name in ("jitter", "lighting"):
            if getattr(self, name) == 0:
                object.__setattr__(self, name, None)  # before any hash: of strength 0 it is the same run
        for key, highest in (("crop_area", 1.0), ("crop_aspect", math.inf)):
            limits: tuple[float, ...] = getattr(self, key)
            require(
                len(limits) == 2 and 0 < limits[0] <= limits[1] <= highest,
                f"data.{key} must be [lowest, highest] above 0, at most {highest:g}, got {limits}",
            )
        require(
            self.eval_resize >= self.image_size,
            f"data.eval_resize must be at least data.image_size={self.image_size}, got {self.eval_resize}",
        )

    def describe_augmentation(self) -> list[str]:
        own = ["random-resized crop"]
        own += ["colour jitter"] if self.jitter else []
        own += ["PCA lighting"] if self.lighting else []
        return own + super().describe_augmentation()

    @property
    def eval_side(self) -> int:
        return self.eval_resize
