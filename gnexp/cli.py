"""The verbs of `gnexp`: the only reader of sys.argv.

Imports neither torch nor Hydra before a verb needs it, and never torch: training is a child's work.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnexp import __version__
from gnexp.usage import HELP, VERB_HELP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omegaconf import DictConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb and returns the exit code: 0 done, 1 failed, 2 a user's mistake, 130 Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0 if words else 2
    if words[0] == "--version":
        print(f"gnexp {__version__}")
        return 0
    verb, rest = words[0], words[1:]
    try:
        if verb not in VERB_HELP:
            from gnexp.keys import did_you_mean

            verbs = list(VERB_HELP)
            raise ValueError(
                f"unknown verb {verb!r}: choose from {', '.join(verbs)}{did_you_mean(verb, verbs)}"
            )
        # A benchmark has options, and so a --help, of its own.
        if rest[:1] in (["-h"], ["--help"]) or (verb != "bench" and {"-h", "--help"} & set(rest)):
            print(VERB_HELP[verb], end="")
            return 0
        if verb in ("train", "sweep"):
            return _hydra(verb, rest)
        return {"report": _report, "eval": _eval, "bench": _bench, "completion": _completion}[verb](rest)
    except KeyboardInterrupt:
        print("gnexp: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # `gnexp ... | head`: nobody reads on. Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        if os.environ.get("GNEXP_DEBUG"):
            raise
        print(f"gnexp: error: {error}", file=sys.stderr)
        return 2


def _hydra(verb: str, words: list[str]) -> int:
    """Runs train and sweep: one Hydra app, the latter with --multirun."""
    import signal

    import hydra
    from hydra._internal.utils import get_args_parser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from gnexp import compose
    from gnexp.keys import DEFAULT_EXPERIMENT, conf_dir

    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # argparse prints a long usage
    known = parser.parse_intermixed_args(words)
    overrides: list[str] = known.overrides
    if known.multirun or known.run:
        raise ValueError("gnexp train makes one run and gnexp sweep several: leave out --run and --multirun")
    for flag in ("config_path", "config_name", "experimental_rerun", "shell_completion"):
        if getattr(known, flag):
            raise ValueError(f"--{flag.replace('_', '-')} is not for gnexp; see `gnexp {verb} --help`")
    flags = [word for word in words if word not in overrides]
    shown_only = bool(known.cfg or known.info or known.hydra_help)
    directories = [known.config_dir] if known.config_dir else []
    for override in compose.parse(overrides):
        if override.key_or_group == "hydra.searchpath":
            directories += [str(place) for place in compose.values_of(override)[0]]
    composer = compose.Composer(directories)
    composer.check(overrides, sweep=verb == "sweep")
    if verb == "sweep":
        if not any(word.startswith("experiment=") for word in overrides):
            overrides = [f"experiment={DEFAULT_EXPERIMENT}", *overrides]
        if shown_only:
            fixed = [o for o in compose.parse(overrides) if not o.is_sweep_override()]
            arguments = composer.flatten([o.input_line or "" for o in fixed])
        else:
            arguments = [word for word in overrides if word != "experiment=null"]  # Hydra has no null groups
            flags = ["--multirun", *flags]
    else:
        arguments = composer.flatten(overrides)
        composer.run(arguments)  # a mistake is told here, in one line, not by Hydra

    # Hydra then raises instead of printing a stack trace of its own and a hint to set this variable.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # joblib's helper process, when Ctrl-C reaches it too, may warn of what it finds cleaned up: nothing for a user.
    silenced = "ignore:resource_tracker:UserWarning"
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), silenced)))
    signal.signal(signal.SIGTERM, _terminate)
    before, sys.argv = sys.argv, ["gnexp", *arguments, *flags]
    app = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=compose.CONFIG_NAME)
    try:
        app(run_task)()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(compose.explain(error)) from None
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

    from gnexp import compose
    from gnexp.launch import launch

    is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        outcome = launch(compose.to_run(config), Path(config.runs_dir), quiet=is_sweep)
    except (ValueError, OSError) as error:
        if is_sweep:
            raise  # the sweeper lists it beside the others
        # Not raised: Hydra would print a line of its own first.
        print(f"gnexp: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if not is_sweep:
        if outcome.message:
            print(outcome.message)
        raise SystemExit(outcome.exit_code)
    if outcome.stopped_by == signal.SIGINT:
        raise KeyboardInterrupt
    if outcome.stopped_by is not None:
        raise SystemExit(128 + outcome.stopped_by)
    return outcome.exit_code


def _report(words: list[str]) -> int:
    is_check = "--check" in words
    defaults = {"exhibit": "", "overwrite": "false", "runs_dir": "runs", "results_dir": "results"}
    settings = _settings([word for word in words if word != "--check"], defaults)
    from gnexp import compose
    from gnexp.experiments import report

    if settings["overwrite"].lower() not in ("true", "false"):
        raise ValueError(f"overwrite must be true or false, got {settings['overwrite']}")
    names = [name for name in settings["exhibit"].split(",") if name] or None
    exhibits = compose.load_exhibits(names)
    runs_dir, results_dir = Path(settings["runs_dir"]), Path(settings["results_dir"])
    # What a command needs beside its experiment to fill this report and no other.
    places = [
        f"{key}={settings[key]}" for key in ("runs_dir", "results_dir") if settings[key] != defaults[key]
    ]
    if is_check:
        problems = report.check(
            exhibits, compose.expand, results_dir=results_dir, is_whole=names is None, places=places
        )
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{results_dir}: {len(problems)} problem(s)" if problems else f"{results_dir} is as rendered")
        return 1 if problems else 0
    overwrite = settings["overwrite"].lower() == "true"
    rendered = report.render(
        exhibits,
        compose.expand,
        runs_dir=runs_dir,
        results_dir=results_dir,
        overwrite=overwrite,
        is_whole=names is None,
        places=places,
    )
    for note in rendered.notes:
        print(f"note: {note}", file=sys.stderr)
    for path in rendered.paths:
        print(path)
    print(f"{len(rendered.collected)} new result(s) from {runs_dir}\n\n{rendered.answer}")
    return 0


def _eval(words: list[str]) -> int:
    settings = _settings(words, {"run": "", "eval_stats": "worker0", "runs_dir": "runs"})
    import subprocess

    from gnexp.keys import check_choice
    from gnexp.launch import named_run_dir, start_worker

    check_choice("eval_stats", settings["eval_stats"], ("worker0", "mean", "precise", "all"))
    if not settings["run"]:
        raise ValueError("which run? gnexp eval run=RUN_ID (or the start of it, or its directory)")
    run_dir = named_run_dir(settings["run"], Path(settings["runs_dir"]))
    arguments = ["--eval", settings["eval_stats"], str(run_dir / "spec.json")]
    ended = start_worker(arguments, dict(os.environ), stdout=subprocess.PIPE)
    if ended.exit_code == 0:
        rows = [line.split("\t") for line in ended.out.decode().splitlines() if "\t" in line]
        print(f"{run_dir.name}\n{'eval_stats':<12}val/top1_error, %")
        for stats, error in rows:
            print(f"{stats:<12}{float(error):.2f}")
    return ended.exit_code


def _bench(words: list[str]) -> int:
    import subprocess

    from gnexp.keys import check_choice

    directory = Path(__file__).resolve().parents[1] / "benchmarks"
    names = sorted(path.stem.removeprefix("bench_") for path in directory.glob("bench_*.py"))
    if not names:
        raise ValueError(
            f"there is no {directory}: the benchmarks come with gnexp's repository, not its package"
        )
    if not words:
        raise ValueError(f"which benchmark? gnexp bench NAME, one of {', '.join(names)}")
    check_choice("benchmark", words[0], names)
    script = directory / f"bench_{words[0]}.py"
    return subprocess.run([sys.executable, str(script), *words[1:]]).returncode


def _completion(words: list[str]) -> int:
    _settings(words, {})
    from gnexp.completion import script

    print(script(), end="")
    return 0


def _settings(words: list[str], defaults: dict[str, str]) -> dict[str, str]:
    """key=value words of a verb that is no Hydra app."""
    from gnexp.keys import did_you_mean

    found = dict(defaults)
    for word in words:
        key, equals, value = word.partition("=")
        if key not in defaults:
            known = f": known are {', '.join(defaults)}" if defaults else ": this verb takes none"
            raise ValueError(
                f"unknown {'key' if equals else 'word'} {key}{known}{did_you_mean(key, list(defaults))}"
            )
        if not equals or not value:
            raise ValueError(f"expected {key}=VALUE, got {word!r}")
        found[key] = value
    return found


def _refuse(message: str) -> Any:
    raise ValueError(message)


def _terminate(number: int, frame: object) -> None:
    sys.exit(128 + number)
