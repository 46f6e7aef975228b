"""The fields of videos, of which clips are taken (Section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import require, science_field
from gnexp.config.model import dashed
from gnexp.config.task import VIDEO
from gnexp.data.kinds.folder import FolderConfig, SkippingConfig


@dataclass(frozen=True, kw_only=True)
class ClipsConfig(SkippingConfig):
    """How clips are cut out of videos."""

    task: ClassVar = VIDEO

    channels: int = science_field(1, choices=(1, 3), told_by="data")  # gray or RGB
    # shorter side in training, drawn between the two for each clip
    train_resize: tuple[int, ...] = science_field(unit="pixels", told_by="augmentation")
    eval_resize: int = science_field(unit="pixels", told_by="data")  # shorter side in the test
    clip_length: int = science_field(ge=1, title="frames of a clip", unit="frames", told_by="data")
    # of the video, which a clip's frames are spread over
    clip_span: int = science_field(ge=1, unit="frames", told_by="data")
    # of each video in the test, evenly over its length
    num_clips: int = science_field(ge=1, title="clips of a video in the test", told_by="data")
    # full = whole frames, for a fully convolutional test; three = crops along the longer side
    test_crop: str = science_field(choices=("full", "three", "center"), left_open={VIDEO: ""}, told_by="data")

    def check_together(self) -> None:
        require(
            self.clip_span % self.clip_length == 0,
            f"data.clip_span must be a multiple of data.clip_length={self.clip_length}, got {self.clip_span}",
        )
        size, sides = self.image_size, self.train_resize
        require(
            len(sides) == 2 and size <= sides[0] <= sides[1],
            f"data.train_resize must be [lowest, highest], at least data.image_size={size}, got {sides}",
        )
        require(
            self.eval_resize >= size,
            f"data.eval_resize must be at least data.image_size={size}, got {self.eval_resize}",
        )

    def describe(self) -> list[str]:
        return [
            *super().describe(),
            f"{self.clip_length} of {self.clip_span} frames a clip",
            f"tested on {self.num_clips} clips, {self.test_crop} crop",
        ]

    def describe_augmentation(self) -> list[str]:
        own = [f"shorter side {dashed(self.train_resize)} and a random crop"]
        return own + super().describe_augmentation()


@dataclass(frozen=True, kw_only=True)
class KineticsConfig(ClipsConfig, FolderConfig):
    """data.root/{train,val}/<class>/<video>, or videos that Kinetics' own lists name."""

    survey: ClassVar = "gnexp.data.checks.kinetics:survey_kinetics"
    archives: ClassVar = {"kinetics": "gnexp.data.prepare.kinetics:plan_kinetics"}
    builder: ClassVar = "gnexp.data.video.kinetics:open_kinetics"
    titles: ClassVar = {"kinetics": "Kinetics"}

    kind: str = science_field("kinetics")
