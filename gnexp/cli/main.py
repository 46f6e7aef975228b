"""The verbs of `gnexp`: the only reader of sys.argv.

Imports neither torch nor Hydra before a verb needs it, and never torch: training is a child's work.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import TYPE_CHECKING

from gnexp import __version__
from gnexp.cli.complaint import complain, is_of_stdout, remark_on_packages
from gnexp.cli.help import help_of, help_of_all
from gnexp.cli.verb import Verb
from gnexp.cli.verbs import VERBS
from gnexp.system.exit_codes import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USER_ERROR
from gnexp.system.names import escape_unprintable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _close_stdout()  # `gnexp ... | head`: nobody reads on
        return EXIT_DONE
    except (ValueError, OSError) as error:
        if os.environ.get("GNEXP_DEBUG"):
            raise
        complain(error)
        if is_of_stdout(error):
            _close_stdout()
            return EXIT_FAILED
        return EXIT_USER_ERROR


def _do(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_of_all(), end="")
        return EXIT_DONE if words else EXIT_USER_ERROR
    if words[0] == "--version":
        print(f"gnexp {__version__}")
        return EXIT_DONE
    return _run(_verb(words[0]), words[1:])


def _close_stdout() -> None:
    """Has Python not complain once more while it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _verb(name: str) -> Verb:
    if name not in VERBS:
        from gnexp.config.keys import did_you_mean

        hint = did_you_mean(name, list(VERBS))
        raise ValueError(f"unknown verb {name!r}: choose from {', '.join(VERBS)}{hint}")
    return VERBS[name]


def _run(verb: Verb, words: list[str]) -> int:
    """One module a verb, imported when asked for, so that each command pays for itself alone."""
    asks_for_help = {"-h", "--help"} & set(words[:1] if verb.own_help else words)
    if asks_for_help:
        print(help_of(verb), end="")
        return EXIT_DONE
    if verb.takes_run_keys:
        remark_on_packages(words)
    with _stoppable() if verb.trains else contextlib.nullcontext():
        return int(importlib.import_module(f"gnexp.cli.{verb.name}").main(words))


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """For what trains: a signal on the way, in the midst of others' code, ends in one line too.

    What these verbs print is about work that goes on without it; what another verb prints is its work.
    """
    import signal

    from gnexp.system.signals import leave, stopping
    from gnexp.system.terminal import dropping_unprintable

    before = {number: signal.signal(number, leave) for number in stopping()}
    try:
        with dropping_unprintable():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
