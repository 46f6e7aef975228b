"""The fields of sets that a person brings in a folder, which may hold files that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.data import DataConfig
from gnexp.config.fields import hardware_field, require, science_field

_MAX_SKIPPED = 100  # where data.max_skipped says nothing


@dataclass(frozen=True, kw_only=True)
class SkippingConfig(DataConfig):
    """Files that may turn out to be damaged."""

    root: str | None = hardware_field(None)
    # skip = another stands in for a training image or video that cannot be read, and a video of val is left out; coco:
    # odd entries are cut to their image, mended or left out; None or fail = the run ends
    on_error: str | None = science_field(None, choices=("fail", "skip"))
    # on_error=skip: what is skipped at most, or the run ends; a run that ends well is the same. None = 100
    max_skipped: int | None = hardware_field(None, ge=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_error == "fail":
            object.__setattr__(self, "on_error", None)  # before any hash: spelled out it is the same run
        require(
            self.max_skipped is None or self.on_error == "skip",
            f"data.max_skipped is for data.on_error=skip, got {self.max_skipped}",
        )

    @property
    def folder(self) -> str | None:
        return self.root

    @property
    def skips_errors(self) -> bool:
        return self.on_error == "skip"

    @property
    def most_skipped(self) -> int:
        return _MAX_SKIPPED if self.max_skipped is None else self.max_skipped


@dataclass(frozen=True, kw_only=True)
class FolderConfig(SkippingConfig):
    """A set in a folder, of which it is known how many files the whole of it has."""

    reads_folder: ClassVar = True

    # images or videos that the whole data set has; another count is said, not refused
    expected_train: int | None = hardware_field(None, ge=1)
    expected_val: int | None = hardware_field(None, ge=1)
    expected_of: str | None = hardware_field(None)  # data.name that these counts hold for; None = every

    @property
    def expected(self) -> dict[str, int | None]:
        is_known = self.expected_of in (None, self.name)
        return {
            "train": self.expected_train if is_known else None,
            "val": self.expected_val if is_known else None,
        }
