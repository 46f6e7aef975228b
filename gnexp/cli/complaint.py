"""What a user reads of a mistake."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from gnexp.system.names import shown


def complain(error: Exception) -> None:
    """One line, from the first of the processes that an outer torchrun or srun has started."""
    _say("error", f"cannot print: {error}" if is_of_stdout(error) else str(error))


def remark_on_packages(words: Sequence[str]) -> None:
    """A line on each installed package whose norm is wrong, but for the norms that words choose: those are errors."""
    from gnexp.system.installed import norm_entry_points

    if not norm_entry_points():
        return
    from gnexp.config.kinds import offers

    chosen = {name for word in words if word.startswith("norm=") for name in word[len("norm=") :].split(",")}
    for note in offers().notes:
        if note not in {offers().faults.get(name) for name in chosen}:
            _say("note", note)


def _say(what: str, message: str) -> None:
    from gnexp.system.outer import outer_group

    with contextlib.suppress(ValueError):
        if (outer := outer_group()) is not None and outer.rank:
            return
    print(f"gnexp: {what}: {shown(message)}", file=sys.stderr)


def is_of_stdout(error: Exception) -> bool:
    """Whether what is printed is not taken (`> /dev/full`); errors of files name them."""
    return isinstance(error, OSError) and error.errno is not None and error.filename is None
