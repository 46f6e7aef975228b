"""What loss and score mean: the tasks that there are."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.fields import check, science_field

CLASSIFICATION, DETECTION, VIDEO = "classification", "detection", "video"
TASKS = (CLASSIFICATION, DETECTION, VIDEO)


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What loss and score mean."""

    kind: str = science_field(CLASSIFICATION, choices=TASKS)

    def __post_init__(self) -> None:
        check(self, "task.")

    @property
    def has_test(self) -> bool:
        """Whether what is reported is scored by a test that is more thorough than a point of a curve has to be."""
        return self.kind == VIDEO
