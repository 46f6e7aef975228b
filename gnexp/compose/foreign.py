"""Hardware that a person sets for a whole sweep, left out of the cells whose kind does not have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gnexp.compose.overrides import parse, values_of
from gnexp.config.experiment import Expansion
from gnexp.config.fields import hints_of
from gnexp.config.keys import hardware_keys
from gnexp.config.kinds import KIND_GROUPS, classes_of, join


def of_kinds(overrides: Sequence[str]) -> list[str]:
    """The overrides that set hardware of a kind of norm, model or data."""
    keys = {key for key in hardware_keys() if key.partition(".")[0] in KIND_GROUPS}
    return [word for word in overrides if word.partition("=")[0] in keys]


def foreign(words: Sequence[str], overrides: Sequence[str], choices: Mapping[str, Any]) -> dict[str, str]:
    """Those of some words of hardware whose field a cell's kind does not have, each with that kind.

    Args:
        words: as of_kinds has them.
        overrides: all of the cell.
        choices: what the files that these choose hold.
    """
    given = {override.key_or_group: override for override in parse(overrides)}
    found = {}
    for word in words:
        group, _, name = word.partition("=")[0].partition(".")
        own = given.get(f"{group}.kind")
        kind = str(values_of(own)[0]) if own else str(choices[group]["kind"])
        cls = classes_of(group).get(kind)
        if cls is not None and name not in hints_of(cls):
            found[word] = kind
    return found


def dropped_notes(expansions: Sequence[Expansion]) -> list[str]:
    """A note for each override that was left out of some cells.

    Raises:
        ValueError: one was left out of all cells.
    """
    kinds: dict[str, dict[str, None]] = {}
    for word, kind in (pair for expansion in expansions for pair in expansion.dropped):
        kinds.setdefault(word, {})[kind] = None
    commands = [cell.overrides for expansion in expansions for cell in expansion.cells]
    for word, without in kinds.items():
        if not any(word in command for command in commands):
            group, _, name = word.partition("=")[0].partition(".")
            raise ValueError(
                f"{word}: no cell has a {group} with {name}, they are of kind {join(list(without))}"
            )
    return [
        f"{word} is left out of the cells of kind {join(list(without))}, which has no such field"
        if len(without) == 1
        else f"{word} is left out of the cells of kinds {join(list(without))}, which have no such field"
        for word, without in kinds.items()
    ]
