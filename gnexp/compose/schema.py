"""The schema of a command line: RunConfig's fields and the command's own, as dataclasses that OmegaConf can fill."""

from __future__ import annotations

import dataclasses
import functools
import typing
from typing import Any

from gnexp.config import RunConfig
from gnexp.config.experiment import ExperimentConfig
from gnexp.config.kinds import default_of, fields_of, group_of


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

    A field that some kind does not have is None where nothing is said, and then what its kind has for it.
    """
    fields: list[tuple[str, Any, Any]] = []
    for name, (_, hint) in fields_of(group).items():
        is_choice = name == "kind"
        default = getattr(RunConfig(), group).kind if is_choice else default_of(group, name)
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
    ]
    return dataclasses.make_dataclass("AppConfig", command, bases=(run,))
