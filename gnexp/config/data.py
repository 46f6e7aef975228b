"""What every data set says of itself: the fields and the traits that its own class adds to.

The kinds are in gnexp/data/kinds. Nothing asks for the kind of data: it asks for a trait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from gnexp.config.fields import check, hardware_field, require, require_name, science_field
from gnexp.config.kinds import build_kind

# A detector pads images until this many pixels divide their sides: then the strides of all maps divide them too.
PAD_MULTIPLE = 32


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A data set: where its images come from and how training images are augmented.

    Its traits:
        builder: module:function that takes this config and a device and gives a Dataset.
        task: what it is for.
        is_tasks_own: whether the task has it where nobody names data: it comes with gnexp.
        is_generated: whether it is generated on first use, into a folder.
        is_downloaded: whether it is fetched on first use, into a folder.
        unpacked: the folder below data.root that is there once it has been fetched.
        reads_folder: whether a person brings the folder.
        survey: module:function that looks through such a folder (gnexp data check).
        archives: data.name -> module:function that plans how its published archives become such a folder (gnexp data
            prepare).
        num_known: training images that there are, where every copy has as many.
        num_held_out: of these, how many val_source=train takes for val.
        sha256_of: the fields that its sha256 goes with, where it is generated or downloaded.
        titles: data.name -> how its set is called, where readers know it by another name.
    """

    group: ClassVar[str] = "data"
    builder: ClassVar[str]
    task: ClassVar[str]
    is_tasks_own: ClassVar[bool] = False
    is_generated: ClassVar[bool] = False
    is_downloaded: ClassVar[bool] = False
    unpacked: ClassVar[str] = ""
    reads_folder: ClassVar[bool] = False
    survey: ClassVar[str | None] = None
    archives: ClassVar[Mapping[str, str]] = {}
    has_val_alone: ClassVar[bool] = False
    num_known: ClassVar[int | None] = None
    num_held_out: ClassVar[int] = 0
    sha256_of: ClassVar[tuple[str, ...]] = ()
    titles: ClassVar[Mapping[str, str]] = {}

    name: str = science_field("fashion_scenes", told_by="data")
    kind: str = science_field()
    image_size: int = science_field(32, ge=1, unit="pixels", told_by="data")
    channels: int = science_field(1, ge=1, told_by="data")
    num_classes: int = science_field(10, ge=1, told_by="data")
    num_train: int | None = science_field(None, ge=1, unit="images", told_by="data")  # None = all
    num_val: int | None = science_field(None, ge=1, unit="images", told_by="data")
    # of pixel values in [0, 1], one per channel
    mean: tuple[float, ...] = science_field((0.5,), told_by="data")
    std: tuple[float, ...] = science_field((0.25,), gt=0, told_by="data")
    flip: bool = science_field(True, told_by="augmentation")
    # of the images, where they are generated or downloaded of their pixels; checked when the set is opened
    sha256: str | None = science_field(None, told_by="data")
    loader_workers: int = hardware_field(2, ge=0)  # decoding processes; in-memory data uses none
    # to wait for a decoding process that does not answer
    loader_timeout: float = hardware_field(300.0, gt=0, unit="seconds")

    def __post_init__(self) -> None:
        require(self.kind == type(self).kind, f"data.kind must be {type(self).kind} here, got {self.kind}")
        require_name("data.name", self.name)
        check(self, "data.")
        require(
            len(self.mean) == len(self.std) == self.channels,
            f"data.mean and data.std need {self.channels} value(s), one per channel, got {self.mean} and {self.std}",
        )
        self.check_together()

    def check_together(self) -> None:
        """Raises ValueError where fields do not fit together."""

    @property
    def title(self) -> str:
        """What readers know the set by."""
        return self.titles.get(self.name, self.name)

    def describe(self) -> list[str]:
        """What it holds, in words for captions; each field that is `told_by` data is among them or follows from one."""
        words = [f"{self.image_size} px", f"{self.channels} channel{'' if self.channels == 1 else 's'}"]
        words.append(f"{self.num_classes} classes")
        if self.num_train is not None:
            words.append(f"{self.num_train} training images")
        if self.num_val is not None:
            words.append(f"{self.num_val} validation images")
        return words

    def describe_augmentation(self) -> list[str]:
        """How training images are augmented, in words for captions."""
        return ["horizontal flip"] if self.flip else []

    @classmethod
    def say_changed(cls, sets: Sequence[Self]) -> str:
        """What was done to the images of some sets of this class, in a sentence; empty where they are as they were."""
        return ""

    @property
    def folder(self) -> str | None:
        """data.root, of a set that lies or is kept in a folder."""
        return None

    @property
    def expected(self) -> dict[str, int | None]:
        """Images or videos of the whole data set, by split; None where no count holds for a set of this name."""
        return {"train": None, "val": None}

    @property
    def skips_errors(self) -> bool:
        """Whether a file that cannot be read is skipped."""
        return False

    @property
    def most_skipped(self) -> int:
        """How many files are skipped before the run ends."""
        return 0

    @property
    def eval_side(self) -> int:
        """Pixels of an image's shorter side before evaluation's centre crop of image_size."""
        return self.image_size

    @property
    def is_padded_alike(self) -> bool:
        """Whether a detector pads all of its images to one size, whichever come together."""
        return False

    @property
    def is_without_masks(self) -> bool:
        """Whether the masks that it has are left out."""
        return False


def data_config(*, kind: str = "fashion_scenes", **values: Any) -> DataConfig:
    """The config of a data set, from its kind and that kind's fields.

    Raises:
        ValueError: as build_kind.
    """
    found: DataConfig = build_kind(DataConfig.group, {"kind": kind, **values})
    return found
