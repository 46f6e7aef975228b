"""Tasks, found by their kind."""

from __future__ import annotations

from collections.abc import Callable

from gnexp.config import TaskConfig
from gnexp.config.kinds import CLASSIFICATION, DETECTION, VIDEO
from gnexp.tasks.classification import Classification
from gnexp.tasks.task import Task


def _detection() -> Task:
    # Here, since the evaluator and torchvision take a second, which a classifier's run does without.
    from gnexp.tasks.detection import Detection

    return Detection()


def _video() -> Task:
    # Here, since FFmpeg's libraries take a tenth of a second, which a classifier's run does without.
    from gnexp.tasks.video import Video

    return Video()


TASKS: dict[str, Callable[[], Task]] = {
    CLASSIFICATION: Classification,
    DETECTION: _detection,
    VIDEO: _video,
}


def build_task(config: TaskConfig) -> Task:
    """The task of a run."""
    return TASKS[config.kind]()
