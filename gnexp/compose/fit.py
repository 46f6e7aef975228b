"""Data, task and model that go together: what the data's kind chooses, and what is refused."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gnexp.compose.conf_files import ConfFiles
from gnexp.compose.overrides import parse, respell, values_of
from gnexp.config import TaskConfig
from gnexp.config.keys import DEFAULT_SCALE
from gnexp.config.kinds import classes_of
from gnexp.config.task import TASKS


class Kinds(NamedTuple):
    """What overrides come to, an unknown kind included."""

    task: str
    data: str
    model: str
    data_name: str  # as data= spells it
    model_name: str

    @property
    def data_task(self) -> str | None:
        """What the data is for; None of a kind that there is not."""
        return _task_of("data", self.data)

    @property
    def model_task(self) -> str | None:
        """What the model is for; None of a kind that there is not."""
        return _task_of("model", self.model)

    @property
    def problem(self) -> str:
        """What does not go together; empty where all does. Unknown kinds are named where they are built."""
        if self.data_task is None or self.model_task is None or self.task not in TASKS:
            return ""
        data = f"data={self.data_name} is for task.kind={self.data_task}"
        if self.data_task != self.task:
            return f"task.kind={self.task} and data={self.data_name} do not go together: {data}"
        if self.model_task != self.task:
            model = f"model={self.model_name}"
            return (
                f"{model} and data={self.data_name} do not go together: {data}, {model} for {self.model_task}"
            )
        return ""


def _task_of(group: str, kind: str) -> str | None:
    cls = classes_of(group).get(kind)
    return None if cls is None else str(cls.task)


def own_data(task: str) -> str:
    """data= of a task where nobody names any."""
    return next(kind for kind, cls in classes_of("data").items() if cls.task == task and cls.is_tasks_own)


def kinds_of(files: ConfFiles, overrides: Sequence[str]) -> Kinds:
    """The kinds that overrides choose, by files and by fields."""
    config = files.choices(overrides)
    given = {o.key_or_group: o for o in parse(overrides)}

    def text(key: str, default: str) -> str:
        return str(values_of(given[key])[0]) if key in given else default

    return Kinds(
        task=text("task.kind", config["task"]["kind"]),
        data=text("data.kind", config["data"]["kind"]),
        model=text("model.kind", config["model"]["kind"]),
        data_name=text("data", config["data"]["name"]),
        model_name=text("model", config["model"]["name"]),
    )


def choices_of_task(files: ConfFiles, overrides: Sequence[str]) -> list[str]:
    """What a data set for another task than classification chooses: that task, and the scale's model and recipe for it.

    All that is asked for goes over it. What a scale has for a task is `by_task` in its file.
    """
    kinds = kinds_of(files, overrides)
    task, default = kinds.data_task, TaskConfig().kind
    if task in (None, default) or kinds.task not in (default, task):
        return []
    keys = {o.key_or_group for o in parse(overrides)}
    if kinds.task == default and "task.kind" in keys:
        return []  # a contradiction, for check_fit
    chosen = [f"task.kind={task}"]
    if (
        "model" in keys or kinds.model_task != task
    ):  # else a user's file has chosen it, with all that goes with it
        chosen += respell(files.choices(overrides)["by_task"].get(task, []))
    return chosen


def check_fit(
    files: ConfFiles, merge: Callable[[Sequence[str]], list[str]], overrides: Sequence[str]
) -> None:
    """Refuses data, task and model that do not go together.

    Args:
        files: where the choices lie.
        merge: puts what a person does not say under what a person says.
        overrides: what the person says.

    Raises:
        ValueError: naming them, and the command that works.
    """
    kinds = kinds_of(files, merge(overrides))
    if not kinds.problem:
        return
    keys = {o.key_or_group for o in parse(overrides)}
    kept: list[str] = list(overrides)
    if "data" not in keys:  # then task or model is what is wanted
        task = kinds.task if kinds.task != TaskConfig().kind else kinds.model_task
        kept = [f"data={own_data(str(task))}", *(o for o in kept if not o.startswith("data."))]
    groups = ("task.", "model", "experiment=")
    for left_out in itertools.chain.from_iterable(itertools.combinations(groups, n) for n in range(4)):
        words = [o for o in kept if not o.startswith(left_out)]
        if not kinds_of(files, merge(words)).problem:
            scale = [] if "scale" in keys else [f"scale={DEFAULT_SCALE}"]
            raise ValueError(f"{kinds.problem}; this works: {shlex.join(('gnexp', 'train', *scale, *words))}")
    raise ValueError(kinds.problem)
