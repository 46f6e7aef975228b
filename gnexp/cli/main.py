"""The verbs of `gnexp`: the only reader of sys.argv.

Imports neither torch nor Hydra before a verb needs it, and never torch: training is a child's work.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnexp import __version__
from gnexp.cli.help import HELP, VERB_HELP
from gnexp.system.names import escape_unprintable, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omegaconf import DictConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb and returns the exit code: 0 done, 1 failed, 2 a user's mistake, 130 Ctrl-C."""
    escape_unprintable()
    try:
        code = _do(list(sys.argv[1:] if argv is None else argv))
        if sys.stdout is not None:
            sys.stdout.flush()  # here, and not at Python's exit, an error is one line
        return code
    except KeyboardInterrupt:
        print("gnexp: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _close_stdout()  # `gnexp ... | head`: nobody reads on
        return 0
    except (ValueError, OSError) as error:
        if os.environ.get("GNEXP_DEBUG"):
            raise
        if _is_of_stdout(error):
            _close_stdout()
        _complain(error)
        return 2


def _do(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if words else 2
    if words[0] == "--version":
        print(f"gnexp {__version__}")
        return 0
    verb, rest = words[0], words[1:]
    if verb not in VERB_HELP:
        from gnexp.config.keys import did_you_mean

        verbs = list(VERB_HELP)
        raise ValueError(f"unknown verb {verb!r}: choose from {', '.join(verbs)}{did_you_mean(verb, verbs)}")
    # A benchmark has options, and so a --help, of its own.
    if rest[:1] in (["-h"], ["--help"]) or (verb != "bench" and {"-h", "--help"} & set(rest)):
        print(VERB_HELP[verb], end="")
        return 0
    if verb in ("train", "sweep"):
        return _hydra(verb, rest)
    # One module a verb, imported when asked for, so that each command pays for itself alone.
    return int(importlib.import_module(f"gnexp.cli.{verb}").main(rest))


def _is_of_stdout(error: Exception) -> bool:
    """Whether what is printed is not taken (`> /dev/full`); errors of files name them."""
    return isinstance(error, OSError) and error.errno is not None and error.filename is None


def _close_stdout() -> None:
    """Has Python not complain once more while it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(error: Exception) -> None:
    """One line, from the first of the processes that an outer torchrun or srun has started."""
    from gnexp.system.outer import outer_group

    with contextlib.suppress(ValueError):
        if (outer := outer_group()) is not None and outer.rank:
            return
    message = str(error)
    if _is_of_stdout(error):
        message = f"cannot print: {message}"
    print(f"gnexp: error: {shown(message)}", file=sys.stderr)


def _hydra(verb: str, words: list[str]) -> int:
    """Runs train and sweep; a signal on the way, in the midst of others' code, ends in one line too.

    What these print is about work that goes on without it; what another verb prints is its work.
    """
    import signal

    from gnexp.system.signals import leave, stopping
    from gnexp.system.terminal import dropping_unprintable

    before = {number: signal.signal(number, leave) for number in stopping()}
    try:
        with dropping_unprintable():
            return _run_app(verb, words)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_app(verb: str, words: list[str]) -> int:
    """One Hydra app, for sweep with --multirun."""
    import signal

    import hydra
    from hydra._internal.utils import get_args_parser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from gnexp.compose import composer as compose
    from gnexp.compose import overrides as overrides_of
    from gnexp.compose.conf_files import CONFIG_NAME
    from gnexp.config.keys import ALL_EXPERIMENTS, DEFAULT_EXPERIMENT, conf_dir
    from gnexp.config.spelling import spell
    from gnexp.system import children
    from gnexp.system.outer import outer_group
    from gnexp.system.signals import stopping

    if verb == "sweep" and (outer := outer_group()) is not None:
        raise ValueError(
            f"{outer.starter} has started {outer.world_size} processes, which are one run's: start gnexp sweep alone"
        )
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # argparse prints a long usage
    known = parser.parse_intermixed_args(words)
    overrides: list[str] = known.overrides
    flags = [word for word in words if word not in overrides]
    if known.multirun or known.run:
        raise ValueError("gnexp train makes one run and gnexp sweep several: leave out --run and --multirun")
    for flag in ("config_path", "config_name", "experimental_rerun", "shell_completion"):
        if getattr(known, flag):
            raise ValueError(f"--{flag.replace('_', '-')} is not for gnexp; see `gnexp {verb} --help`")
    shown_only = bool(known.cfg or known.info or known.hydra_help)
    directories = [known.config_dir] if known.config_dir else []
    for override in overrides_of.parse(overrides):
        if override.key_or_group == "hydra.searchpath":
            directories += [str(place) for place in overrides_of.values_of(override)[0]]
    composer = compose.Composer(directories)
    overrides_of.check(overrides, composer.options, sweep=verb == "sweep")
    if verb == "sweep":
        if overrides_of.question(overrides)[0] == ALL_EXPERIMENTS:  # which is no file of Hydra's
            overrides = [word for word in overrides if not word.startswith("experiment=")]
            overrides.append("hydra.sweeper.all_experiments=true")
        elif not any(word.startswith("experiment=") for word in overrides):
            overrides = [f"experiment={DEFAULT_EXPERIMENT}", *overrides]
        overrides = overrides_of.respell(overrides)
        fixed = [o.input_line or "" for o in overrides_of.parse(overrides) if not o.is_sweep_override()]
        if directories:
            composer.load(
                composer.flatten(fixed)
            )  # Hydra acts on a user's files before the sweeper reads them
        if shown_only:
            arguments = composer.flatten(fixed)
        else:
            arguments = [word for word in overrides if word != "experiment=null"]  # Hydra has no null groups
            flags = ["--multirun", *flags]
    else:
        composer.check_fit(overrides)
        arguments = composer.flatten(overrides)
        run = composer.run(arguments)  # a mistake is told here, in one line, not by Hydra
        parent = composer.parent(overrides)
        if parent is not None and not shown_only and not Path(str(run.init_path)).is_file():
            runs_dir = overrides_of.runs_dir_of(arguments)
            places = [] if str(runs_dir) == "runs" else [f"runs_dir={spell(str(runs_dir))}"]
            raise ValueError(
                f"this run starts from {parent.run.label}, which has no final weights in {runs_dir}; "
                f"first {parent.command(*places)}, or let gnexp sweep do both"
            )

    # Hydra then raises instead of printing a stack trace of its own and a hint to set this variable.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # joblib's helper process, when Ctrl-C reaches it too, may warn of what it finds cleaned up: nothing for a user.
    silenced = "ignore:resource_tracker:UserWarning"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), silenced)))
    if verb == "sweep":  # which has launchers to take down; train leaves it to what it starts
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in set(stopping()) - {signal.SIGINT}:
            signal.signal(number, _terminate)
    before, sys.argv = sys.argv, ["gnexp", *arguments, *flags]
    app = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=CONFIG_NAME)
    try:
        with children.inheriting():
            app(run_task)()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(overrides_of.explain(error)) from None
    finally:
        sys.argv = before
    return 0


def run_task(config: DictConfig) -> int:
    """What Hydra runs, in this process or in one of its launcher's: a child that trains.

    Raises:
        SystemExit: outside a sweep, with the child's exit code.
        KeyboardInterrupt: in a sweep, when Ctrl-C stopped the child, so that no further run is started.
    """
    import signal

    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from gnexp.compose import composer as compose
    from gnexp.launch.launch import launch
    from gnexp.system.exit_codes import exit_code_of

    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        outcome = launch(compose.to_run(config), Path(config.runs_dir), quiet=is_sweep)
    except (ValueError, OSError) as error:
        if is_sweep:
            raise  # the sweeper lists it beside the others
        # Not raised: Hydra would print a line of its own first.
        _complain(error)
        raise SystemExit(2) from None
    if not is_sweep:
        if outcome.message:
            print(outcome.message)
        raise SystemExit(outcome.exit_code)
    if outcome.stopped_by == signal.SIGINT:
        raise KeyboardInterrupt
    if outcome.stopped_by is not None:
        raise SystemExit(exit_code_of(outcome.stopped_by))
    return outcome.exit_code


def _refuse(message: str) -> Any:
    raise ValueError(message)


def _terminate(number: int, frame: object) -> None:
    from gnexp.system.exit_codes import exit_code_of

    sys.exit(exit_code_of(number))
