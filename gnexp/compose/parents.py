"""init=cell: which run another starts from, where a person names it by what differs from the run itself."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from gnexp.compose.overrides import parse, runs_dir_of, values_of
from gnexp.config.experiment import Parent
from gnexp.config.keys import merge_overrides
from gnexp.config.kinds import classes_of
from gnexp.config.spelling import spell
from gnexp.runs.directory import find_run_dir

CELL = "cell"
# What a parent has from its child, beside its norm.
_KEPT = ("model.arch", "model.default_num_groups", "device", "threads")


def named_cell(overrides: Sequence[str]) -> str | None:
    """What follows "cell" in init="cell: batch=32"; None where init names a run or a file, or nothing."""
    given = {override.key_or_group: override for override in parse(overrides)}
    init = str(values_of(given["init"])[0]) if "init" in given else ""
    head, _, words = init.partition(":")
    return words if head.strip() == CELL else None


def parent_words(
    merged: Sequence[str], words: str, backbone_of: Callable[[Sequence[str]], str | None]
) -> list[str]:
    """The overrides of the run that is meant: these words, with the run's own scale, seed, norm, model and device.

    A detector's model is its backbone as a classifier, a frozen batch norm's norm the batch norm that it freezes.

    Args:
        merged: all overrides of the run that starts from it.
        words: as `named_cell` has them.
        backbone_of: the model that is the backbone of the model that overrides choose.
    """
    values = {override.key_or_group: spell(values_of(override)[0]) for override in parse(merged)}
    kept = [f"{key}={values[key]}" for key in ("scale", "seed") if key in values]
    kept += [f"norm={frozen_by(values['norm'])}"] if "norm" in values else []
    kept += [f"{key}={value}" for key, value in values.items() if key in _KEPT or key.startswith("norm.")]
    unasked = ("init=", "init_path=", "seed=")
    backbone = backbone_of([o for o in merged if not o.startswith(unasked)]) or values.get("model")
    kept += [f"model={backbone}"] if backbone else []
    return merge_overrides(kept, shlex.split(words))


def init_of(parent: Parent, merged: Sequence[str]) -> list[str]:
    """The overrides that name a parent's final weights, where the run of these overrides looks for them."""
    place = find_run_dir(runs_dir_of(merged), parent.run).weights
    return [f"init={spell(parent.run.run_id)}", f"init_path={spell(str(place.resolve()))}"]


def check_weights(parent: Parent, init_path: str | None, runs_dir: Path) -> None:
    """Refuses a run whose parent has left no weights.

    Raises:
        ValueError: it has not; with the command that makes them.
    """
    if not Path(str(init_path)).is_file():
        places = [] if str(runs_dir) == "runs" else [f"runs_dir={spell(str(runs_dir))}"]
        raise ValueError(
            f"this run starts from {parent.run.label}, which has no final weights in {runs_dir}; "
            f"first {parent.command(*places)}, or let gnexp sweep do both"
        )


def frozen_by(norm: str) -> str:
    """norm= of the norm whose statistics a norm freezes; of another norm itself."""
    cls = classes_of("norm").get(norm)
    return norm if cls is None or cls.freezes is None else str(cls.freezes)
