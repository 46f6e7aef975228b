"""The fields of the garments as a detection set in COCO's layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.data import PAD_MULTIPLE
from gnexp.config.fields import hardware_field, science_field
from gnexp.data.kinds.coco import BoxesConfig
from gnexp.data.kinds.fashion import ExposedConfig


@dataclass(frozen=True, kw_only=True)
class FashionCocoConfig(BoxesConfig, ExposedConfig):
    """One to four garments an image."""

    builder: ClassVar = "gnexp.data.generated.fashion_coco:open_fashion_coco"
    is_tasks_own: ClassVar = True
    is_generated: ClassVar = True
    sha256_of: ClassVar[tuple[str, ...]] = (*ExposedConfig.sha256_of, "image_size", "exposure")

    kind: str = science_field("fashion_coco")
    channels: int = science_field(1, choices=(1,), told_by="data")
    num_classes: int = science_field(10, choices=(10,), told_by="data")
    root: str | None = hardware_field(None)

    @property
    def folder(self) -> str | None:
        return self.root

    @property
    def is_padded_alike(self) -> bool:
        shortest = self.image_size * 5 // 6  # side of a canvas (gnexp/data/generated/pictures.py)
        return not self.is_resized and -(-shortest // PAD_MULTIPLE) == -(-self.image_size // PAD_MULTIPLE)
