"""The options that the paper leaves open."""

from __future__ import annotations

from gnexp.config.fields import ANY_TASK, walk
from gnexp.config.run import RunConfig
from gnexp.config.spelling import spell

OF_EVALUATION = "statistics of evaluation (all three are measured; a score's own name has worker 0's)"


def left_open(run: RunConfig) -> dict[str, str]:
    """Their keys, each with the value that this run has for it and what is to be said of that."""
    found = {}
    for key, f, value in walk(run):
        notes = f.metadata.get("left_open", {})
        is_others = value is None and f.metadata.get("told_by") == "optimizer"
        if is_others or not notes.keys() & {ANY_TASK, run.task.kind}:
            continue
        note = notes.get(run.task.kind, notes.get(ANY_TASK, ""))
        found[key] = f"{list(value) if isinstance(value, tuple) else spell(value)}{note}"
    return found


def not_stated(run: RunConfig) -> list[str]:
    """The same as words of a sentence, how evaluation chooses its statistics last."""
    told = [f"{key}={text}" for key, text in left_open(run).items()]
    return [*told, OF_EVALUATION] if run.norm.has_running_stats else told
