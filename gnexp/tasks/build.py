"""Tasks, found by their kind."""

from __future__ import annotations

from gnexp.config import TaskConfig
from gnexp.config.kinds import import_text
from gnexp.config.task import CLASSIFICATION, DETECTION, VIDEO
from gnexp.tasks.task import Task

# Imported when built: the evaluator, torchvision and FFmpeg's libraries take a second, which others do without.
BUILDERS = {
    CLASSIFICATION: "gnexp.tasks.classification:Classification",
    DETECTION: "gnexp.tasks.detection:Detection",
    VIDEO: "gnexp.tasks.video:Video",
}


def build_task(config: TaskConfig) -> Task:
    """The task of a run."""
    task: Task = import_text(BUILDERS[config.kind])()
    return task
