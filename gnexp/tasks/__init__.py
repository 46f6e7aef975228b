"""Tasks, found by their kind."""

from __future__ import annotations

from collections.abc import Callable

from gnexp.config import TaskConfig
from gnexp.tasks.classification import Classification
from gnexp.tasks.task import Task

TASKS: dict[str, Callable[[], Task]] = {"classification": Classification}


def build_task(config: TaskConfig) -> Task:
    """The task of a run.

    Raises:
        ValueError: an unknown kind.
    """
    if config.kind not in TASKS:
        raise ValueError(f"task.kind must be one of {', '.join(TASKS)}, got {config.kind}")
    return TASKS[config.kind]()
