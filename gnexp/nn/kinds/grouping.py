"""The groups of channels of every norm that has them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import require, science_field
from gnexp.config.norm import NormConfig
from gnexp.nn.kinds.constants import NormWithEps


@dataclass(frozen=True, kw_only=True)
class GroupedNorm(NormWithEps):
    """A norm whose statistics are those of a sample's groups of channels."""

    statistics_over: ClassVar = "sample"

    num_groups: int | None = science_field(None, ge=1, title="groups (G)")
    channels_per_group: int | None = science_field(None, ge=1, title="channels per group (C/G)")

    def check_together(self) -> None:
        require(
            self.num_groups is None or self.channels_per_group is None,
            "give norm.num_groups or norm.channels_per_group, not both: "
            f"got {self.num_groups} and {self.channels_per_group}",
        )

    def resolved(self, num_groups: int) -> NormConfig:
        """With the model's number of groups where none is named, so that spelling it out gives the same run."""
        if self.num_groups is not None or self.channels_per_group is not None:
            return self
        return dataclasses.replace(self, num_groups=num_groups)

    @classmethod
    def at_place(cls, word: str, backbone: NormConfig, num_groups: int) -> NormConfig:
        return cls(num_groups=num_groups)

    @property
    def label(self) -> str:
        if self.word != self.kind:
            return self.word
        number = self.num_groups if self.channels_per_group is None else f"c{self.channels_per_group}"
        joint = "-" if self.kind[-1].isdigit() else ""
        return f"{self.kind}{joint}{number}"
