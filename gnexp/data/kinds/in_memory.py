"""The field of sets that stay in memory."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.data import DataConfig
from gnexp.config.fields import science_field


@dataclass(frozen=True, kw_only=True)
class InMemoryConfig(DataConfig):
    """Images that are moved as they are augmented."""

    # largest random translation, edges repeated
    shift: int = science_field(0, ge=0, unit="pixels", told_by="augmentation")

    def describe_augmentation(self) -> list[str]:
        own = [f"shift by up to {self.shift} px"] if self.shift else []
        return own + super().describe_augmentation()
