"""The fields of the embedded garments, plain or as scenes, and of all that is generated from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.data import DataConfig
from gnexp.config.fields import science_field
from gnexp.config.kinds import join
from gnexp.config.task import CLASSIFICATION
from gnexp.data.kinds.in_memory import InMemoryConfig

SIDE = 28  # pixels, of a garment
PARTS = ("gain", "background", "inversion")  # of a scene's exposure
INVERTED = 0.5  # the chance of a negative, at full spread
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
class ExposedConfig(GarmentsConfig):
    """Garments of which each image, or video, has an exposure of its own.

    Trait `exposed`: what has one.
    """

    exposed: ClassVar[str] = "image"

    # spread of each one's own exposure, 0 = none, 1 = full
    exposure: float | None = science_field(None, ge=0, le=1, title="spread of exposure", told_by="data")

    @property
    def spreads(self) -> tuple[float, ...]:
        """The spreads of gain, background and inversion."""
        return (self.exposure or 0.0,) * len(PARTS)

    def describe(self) -> list[str]:
        words, spreads = super().describe(), self.spreads
        if len(set(spreads)) > 1:
            own = join([f"{name} {spread:g}" for name, spread in zip(PARTS, spreads, strict=True)])
            words.append(f"each {self.exposed} with an exposure of its own, of the strengths {own}")
        elif exposure := spreads[0]:
            strength = "" if exposure == 1 else f" of strength {exposure:g}"
            words.append(
                f"each {self.exposed} with an exposure{strength} of its own: gain, background, and with probability "
                f"{INVERTED * exposure:g} its photographic negative"
            )
        return words

    @classmethod
    def say_changed(cls, sets: Sequence[ExposedConfig]) -> str:
        found = {one.spreads for one in sets if any(one.spreads)}
        if not found:
            return ""
        if len(found) > 1 and any(len(set(spreads)) > 1 for spreads in found):
            return (
                f"Each {cls.exposed} has a gain or a background of its own or is, with probability {INVERTED} times "
                "its inversion, turned into its photographic negative, or several of these."
            )
        spreads = (1.0, 1.0, 1.0) if len(found) > 1 else next(iter(found))
        chance = f"{INVERTED} times its exposure" if len(found) > 1 else f"{INVERTED * spreads[2]:g}"
        own = " and ".join(f"a {name}" for name, spread in zip(PARTS, spreads[:2], strict=False) if spread)
        words = [f"has {own} of its own"] if own else []
        words += (
            [f"is, with probability {chance}, turned into its photographic negative"] if spreads[2] else []
        )
        return f"Each {cls.exposed} {' and '.join(words)}."


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
class FashionScenesConfig(InMemoryGarments, ExposedConfig):
    """One garment at a random place of a canvas, each scene with its own exposure."""

    is_tasks_own: ClassVar = True

    builder: ClassVar = "gnexp.data.generated.fashion:open_scenes"
    sha256_of: ClassVar[tuple[str, ...]] = (*InMemoryGarments.sha256_of, "image_size", "exposure", "clutter")

    kind: str = science_field("fashion_scenes")
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

    def describe(self) -> list[str]:
        return super().describe() + ([f"{self.clutter} bits of clutter"] if self.clutter else [])

    @property
    def spreads(self) -> tuple[float, ...]:
        own = (getattr(self, name) for name in PARTS)
        return tuple(self.exposure or 0.0 if spread is None else spread for spread in own)
