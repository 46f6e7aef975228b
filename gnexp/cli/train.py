"""gnexp train: one run."""

from __future__ import annotations

import sys

from gnexp.cli.app import Command, read, run_app, show, train
from gnexp.compose.composer import Composer
from gnexp.compose.overrides import check, is_hydra, parse, runs_dir_of
from gnexp.compose.parents import check_weights
from gnexp.config import RunConfig
from gnexp.system import children


def main(words: list[str]) -> int:
    """Trains it in a child; returns the exit code."""
    command = read("train", words)
    composer = Composer(command.directories)
    arguments, run = _validate(command, composer)
    if command.shows_only:
        return show(command, composer, arguments)
    for note in composer.notes(command.overrides):
        print(f"note: {note}", file=sys.stderr)
    if _sets_hydra(command):
        return run_app([*arguments, *command.flags])
    with children.inheriting():
        return train(run, runs_dir_of(arguments))


def _validate(command: Command, composer: Composer) -> tuple[list[str], RunConfig]:
    """All overrides of the run, and the run that they make.

    Raises:
        ValueError: a mistake, in one line.
    """
    check(command.overrides, composer.options, sweep=False)
    composer.check_fit(command.overrides)
    arguments = composer.flatten(command.overrides)
    run = composer.run(arguments)
    parent = composer.parent(command.overrides)
    if parent is not None and not command.shows_only:
        check_weights(parent, run.init_path, runs_dir_of(arguments))
    return arguments, run


def _sets_hydra(command: Command) -> bool:
    """Whether Hydra's own part is set, which then composes the run once more; where files lie is read already."""
    keys = (override.key_or_group for override in parse(command.overrides) if is_hydra(override))
    return any(key != "hydra.searchpath" for key in keys)
