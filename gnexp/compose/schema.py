"""The schema of a command line: RunConfig's fields and the command's own, as dataclasses that OmegaConf can fill."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from gnexp.config import RunConfig
from gnexp.config.experiment import ExperimentConfig
from gnexp.config.kinds import KIND_GROUPS, classes_of, default_of, fields_of, group_of, join


def _mutable(cls: type) -> type:
    """A mutable twin of a dataclass: OmegaConf makes the nodes of a frozen one read-only, which refuses overrides."""
    fields: list[tuple[str, Any, Any]] = []
    hints = typing.get_type_hints(cls)
    for f in dataclasses.fields(cls):
        if group := group_of(hints[f.name]):
            twin = _node(group)
            fields.append((f.name, twin, dataclasses.field(default_factory=twin)))
        elif dataclasses.is_dataclass(hints[f.name]):
            twin = _mutable(typing.cast(type, hints[f.name]))
            fields.append((f.name, twin, dataclasses.field(default_factory=twin)))
        else:
            hint = f.metadata.get("spelling", hints[f.name])
            fields.append((f.name, hint, dataclasses.field(default=f.default)))
    return dataclasses.make_dataclass(cls.__name__, fields)


def _node(group: str) -> type:
    """The fields of all kinds of a group, since the kind is one of them; build_kind refuses those of other kinds.

    A field that some kind does not have is None where nothing is said, and then what its kind has for it. The kind
    itself has to be said.
    """
    fields: list[tuple[str, Any, Any]] = []
    for name, (_, hint) in fields_of(group).items():
        default = MISSING if name == "kind" else default_of(group, name)
        fields.append(
            (name, hint if default is not None else hint | None, dataclasses.field(default=default))
        )
    return dataclasses.make_dataclass(f"{group.title()}Config", fields)


@functools.cache
def app_schema() -> type:
    """RunConfig's fields and those of the command line alone, which never reach a run."""
    run = _mutable(RunConfig)
    command: list[tuple[str, Any, Any]] = [
        ("experiment", ExperimentConfig | None, dataclasses.field(default=None)),
        ("by_task", dict[str, list[str]], dataclasses.field(default_factory=dict)),  # of a scale's file
        ("seeds", int | None, dataclasses.field(default=None)),
        ("dry_run", bool, dataclasses.field(default=False)),
        ("runs_dir", str, dataclasses.field(default="runs")),
        ("results_dir", str, dataclasses.field(default="results")),
        ("budget", str | None, dataclasses.field(default=None)),
    ]
    return dataclasses.make_dataclass("AppConfig", command, bases=(run,))


def require_kinds(config: DictConfig, file_of: Callable[[str], object]) -> None:
    """Refuses a norm, a model or data whose file does not say of which kind it is.

    Args:
        config: what was composed, with the schema's types; sections that it does not have are not asked for.
        file_of: the file that was chosen for a group.

    Raises:
        ValueError: naming the file and the kinds that there are.
    """
    for group in KIND_GROUPS:
        if group in config and OmegaConf.is_missing(config[group], "kind"):
            raise ValueError(
                f"{file_of(group)} names no kind: add a line `kind: ...` with {join(list(classes_of(group)), 'or')}"
            )
