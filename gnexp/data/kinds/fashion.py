"""The fields of the embedded garments, plain or as scenes, and of all that is generated from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.data import DataConfig
from gnexp.config.fields import science_field
from gnexp.config.task import CLASSIFICATION
from gnexp.data.kinds.in_memory import InMemoryConfig

SIDE = 28  # pixels, of a garment
PARTS = ("gain", "background", "inversion")  # of a scene's exposure
NUM_HELD_OUT = 5000  # training garments that val_source=train keeps for val


@dataclass(frozen=True, kw_only=True)
class GarmentsConfig(DataConfig):
    """Generated from the embedded garments."""

    sha256_of: ClassVar[tuple[str, ...]] = ("num_train", "num_val", "val_source")

    channels: int = science_field(1, choices=(1,), told_by="data")
    # train = held-out training garments; None = test
    val_source: str | None = science_field(None, choices=("test", "train"), told_by="data")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, meant in (("val_source", "test"), ("exposure", 0.0), ("clutter", 0)):
            if hasattr(self, name) and getattr(self, name) is None:
                object.__setattr__(self, name, meant)  # before any hash: left out it is the same run


@dataclass(frozen=True, kw_only=True)
class InMemoryGarments(GarmentsConfig, InMemoryConfig):
    """Garments that stay in memory."""

    builder: ClassVar = "gnexp.data.generated.fashion:open_fashion"
    task: ClassVar = CLASSIFICATION
    num_known: ClassVar = 20_000
    num_held_out: ClassVar = NUM_HELD_OUT

    num_classes: int = science_field(10, choices=(10,), told_by="data")


@dataclass(frozen=True, kw_only=True)
class FashionConfig(InMemoryGarments):
    """The plain garments."""

    kind: str = science_field("fashion")
    image_size: int = science_field(SIDE, choices=(SIDE,), unit="pixels", told_by="data")


@dataclass(frozen=True, kw_only=True)
class FashionScenesConfig(InMemoryGarments):
    """One garment at a random place of a canvas, each scene with its own exposure."""

    is_tasks_own: ClassVar = True

    builder: ClassVar = "gnexp.data.generated.fashion:open_scenes"
    sha256_of: ClassVar[tuple[str, ...]] = (*InMemoryGarments.sha256_of, "image_size", "exposure", "clutter")

    kind: str = science_field("fashion_scenes")
    # spread of each scene's own exposure, 0 = none, 1 = full
    exposure: float | None = science_field(None, ge=0, le=1, title="spread of exposure", told_by="data")
    # spread of one part of the exposure where it differs from the others'; None = as exposure
    gain: float | None = science_field(None, ge=0, le=1, title="spread of gain", told_by="data")
    background: float | None = science_field(None, ge=0, le=1, title="spread of background", told_by="data")
    inversion: float | None = science_field(None, ge=0, le=1, title="spread of inversion", told_by="data")
    # parts of other garments per scene
    clutter: int | None = science_field(None, ge=0, told_by="data")

    def __post_init__(self) -> None:
        super().__post_init__()
        spreads = self.spreads
        # One spelling a meaning, before any hash: exposure is what most of the three are, or the first.
        exposure = max(spreads, key=spreads.count)
        object.__setattr__(self, "exposure", exposure)
        for name, spread in zip(PARTS, spreads, strict=True):
            object.__setattr__(self, name, None if spread == exposure else spread)

    @property
    def spreads(self) -> tuple[float, ...]:
        """The spreads of gain, background and inversion."""
        own = (getattr(self, name) for name in PARTS)
        return tuple(self.exposure or 0.0 if spread is None else spread for spread in own)
