"""What the networks built here have in common: stages of blocks, and how their first weights are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.fields import require, science_field
from gnexp.config.model import ModelConfig, dashed


@dataclass(frozen=True, kw_only=True)
class StagedConfig(ModelConfig):
    """Stages of blocks or convolutions."""

    blocks: tuple[int, ...] = science_field((1, 1, 1, 1), ge=1, title="blocks of each stage", told_by="model")
    widths: tuple[int, ...] = science_field(
        (16, 32, 64, 128), ge=1, title="widths of the stages", unit="channels", told_by="model"
    )
    # He initialisation; fan_out is that of the code that the paper follows
    init_mode: str = science_field("fan_out", choices=("fan_out", "fan_in"), left_open={"classification": ""})

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            len(self.blocks) == len(self.widths) and len(self.blocks) >= 1,
            f"model.blocks and model.widths must have one entry per stage, got {self.blocks} and {self.widths}",
        )

    def describe(self) -> str:
        return f"blocks {dashed(self.blocks)}, widths {dashed(self.widths)}"
