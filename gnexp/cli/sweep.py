"""gnexp sweep: every run of an experiment, by the sweeper plugin and Hydra's launchers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from gnexp.cli.app import Command, read, run_app, show
from gnexp.compose.composer import Composer
from gnexp.compose.overrides import check, parse, question, respell
from gnexp.config.keys import ALL_EXPERIMENTS, DEFAULT_EXPERIMENT
from gnexp.system.exit_codes import exit_code_of
from gnexp.system.outer import outer_group
from gnexp.system.signals import stopping


def main(words: list[str]) -> int:
    """Sweeps; returns the exit code.

    Raises:
        ValueError: a mistake, in one line.
    """
    if (outer := outer_group()) is not None:
        raise ValueError(
            f"{outer.starter} has started {outer.world_size} processes, which are one run's: start gnexp sweep alone"
        )
    command = read("sweep", words)
    composer = Composer(command.directories)
    arguments = _arguments(command, composer)
    if command.shows_only:
        return show(command, composer, arguments)
    # joblib's helper process, when Ctrl-C reaches it too, may warn of what it finds cleaned up: nothing for a user.
    silenced = "ignore:resource_tracker:UserWarning"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), silenced)))
    # A sweep has launchers to take down; train leaves signals to what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in set(stopping()) - {signal.SIGINT}:
        signal.signal(number, _terminate)
    return run_app(arguments)


def _arguments(command: Command, composer: Composer) -> list[str]:
    """What Hydra's app is started with, once keys, choices and a user's files are known to be right."""
    check(command.overrides, composer.options, sweep=True)
    overrides = respell(_named(command.overrides))
    if not command.directories and not command.shows_only:
        return [*_without_null(overrides), "--multirun", *command.flags]
    fixed = composer.flatten([o.input_line or "" for o in parse(overrides) if not o.is_sweep_override()])
    if command.directories:
        composer.load(fixed)  # Hydra acts on a user's files before the sweeper reads them
    if command.shows_only:
        return fixed
    return [*_without_null(overrides), "--multirun", *command.flags]


def _named(overrides: Sequence[str]) -> list[str]:
    """With the experiment that is swept; all of them are no file of Hydra's."""
    if question(overrides)[0] == ALL_EXPERIMENTS:
        kept = [word for word in overrides if not word.startswith("experiment=")]
        return [*kept, "hydra.sweeper.all_experiments=true"]
    if any(word.startswith("experiment=") for word in overrides):
        return list(overrides)
    return [f"experiment={DEFAULT_EXPERIMENT}", *overrides]


def _without_null(overrides: Sequence[str]) -> list[str]:
    return [word for word in overrides if word != "experiment=null"]  # Hydra has no null groups


def _terminate(number: int, frame: object) -> None:
    sys.exit(exit_code_of(number))
