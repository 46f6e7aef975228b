"""Training and sweeping: how their words are read, and the Hydra app that launchers and Hydra's own flags need."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gnexp.cli.complaint import complain
from gnexp.compose.composer import Composer, to_run
from gnexp.compose.conf_files import CONFIG_NAME
from gnexp.compose.overrides import explain, parse, values_of
from gnexp.compose.shown import as_text
from gnexp.config import RunConfig
from gnexp.config.keys import conf_dir
from gnexp.config.left_open import left_open
from gnexp.launch.launch import launch
from gnexp.sweep.budget import can_end
from gnexp.system import children
from gnexp.system.exit_codes import EXIT_DONE, EXIT_NOT_STARTED, EXIT_USER_ERROR, exit_code_of
from gnexp.system.terminal import require_printed


@dataclass(frozen=True, kw_only=True)
class Command:
    """What stands behind `gnexp train` or `gnexp sweep`."""

    overrides: list[str]
    flags: list[str]  # Hydra's
    directories: list[str]  # the user's own conf/
    shows_only: bool  # a config or Hydra itself; nothing runs
    cfg: str | None  # which config: job, hydra or all
    package: str | None  # the part of it
    resolve: bool  # ${...} in it


def read(verb: str, words: Sequence[str]) -> Command:
    """Reads a command line, by Hydra's own grammar.

    Raises:
        ValueError: a flag that is unknown or not for gnexp, or a word that is no override.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # argparse prints a long usage
    known = parser.parse_intermixed_args(list(words))
    if known.multirun or known.run:
        raise ValueError("gnexp train makes one run and gnexp sweep several: leave out --run and --multirun")
    for flag in ("config_path", "config_name", "experimental_rerun", "shell_completion"):
        if getattr(known, flag):
            raise ValueError(f"--{flag.replace('_', '-')} is not for gnexp; see `gnexp {verb} --help`")
    directories = [known.config_dir] if known.config_dir else []
    for override in parse(known.overrides):
        if override.key_or_group == "hydra.searchpath":
            directories += [str(place) for place in values_of(override)[0]]
    return Command(
        overrides=known.overrides,
        flags=[word for word in words if word not in known.overrides],
        directories=directories,
        shows_only=bool(known.cfg or known.info or known.hydra_help),
        cfg=known.cfg,
        package=known.package,
        resolve=known.resolve,
    )


def _refuse(message: str) -> Any:
    raise ValueError(message)


def show(command: Command, composer: Composer, arguments: Sequence[str]) -> int:
    """Prints the config that these arguments make, or what Hydra says of itself; returns the exit code.

    Raises:
        ValueError: what Hydra refuses.
        OSError: it cannot be printed.
    """
    if command.cfg in ("job", "all"):
        config = composer.whole(arguments)
        if command.cfg == "job":
            OmegaConf.set_struct(config, False)
            del config["hydra"]
        print(
            as_text(config, package=command.package, resolve=command.resolve, remarks=_remarks(config)),
            end="",
        )
        code = EXIT_DONE
    else:
        code = run_app([*arguments, *command.flags])
    require_printed()
    return code


def _remarks(config: DictConfig) -> dict[str, str]:
    """What the paper leaves open, by key; of what makes no run by itself nothing is remarked."""
    try:
        run = to_run(config)
    except ValueError:
        return {}
    found = {}
    for key, text in left_open(run).items():
        _, bracket, note = text.partition(" (")
        found[key] = f"the paper does not state it{bracket}{note}"
    return found


def run_app(arguments: Sequence[str]) -> int:
    """Runs Hydra's app with these arguments; returns the exit code.

    Raises:
        ValueError: what Hydra refuses.
    """
    # Hydra then raises instead of printing a stack trace of its own and a hint to set this variable.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    before, sys.argv = sys.argv, ["gnexp", *arguments]
    app = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=CONFIG_NAME)
    try:
        with children.inheriting():
            app(run_task)()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_DONE
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(explain(error)) from None
    finally:
        sys.argv = before
    return EXIT_DONE


def run_task(config: DictConfig) -> int:
    """What Hydra runs, in this process or in one of its launcher's: a child that trains.

    Raises:
        SystemExit: outside a sweep, with the child's exit code.
        KeyboardInterrupt: in a sweep, when Ctrl-C stopped the child, so that no further run is started.
    """
    if HydraConfig.get().mode != RunMode.MULTIRUN:
        try:
            code = train(to_run(config), Path(config.runs_dir))
        except (ValueError, OSError) as error:
            complain(error)  # not raised: Hydra would print a line of its own first
            code = EXIT_USER_ERROR
        raise SystemExit(code)
    # What it raises the sweeper lists beside the others.
    run, runs_dir = to_run(config), Path(config.runs_dir)
    if config.budget is not None and not can_end(run, runs_dir, config.budget):
        return EXIT_NOT_STARTED
    outcome = launch(run, runs_dir, quiet=True)
    if outcome.stopped_by == signal.SIGINT:
        raise KeyboardInterrupt
    if outcome.stopped_by is not None:
        raise SystemExit(exit_code_of(outcome.stopped_by))
    return outcome.exit_code


def train(run: RunConfig, runs_dir: Path) -> int:
    """Trains one run in a child, and says how it ended; returns the exit code."""
    outcome = launch(run, runs_dir, quiet=False)
    if outcome.message:
        print(outcome.message)
    return outcome.exit_code
