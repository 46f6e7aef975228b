"""What a user reads of a mistake."""

from __future__ import annotations

import contextlib
import sys

from gnexp.system.names import shown


def complain(error: Exception) -> None:
    """One line, from the first of the processes that an outer torchrun or srun has started."""
    from gnexp.system.outer import outer_group

    with contextlib.suppress(ValueError):
        if (outer := outer_group()) is not None and outer.rank:
            return
    message = f"cannot print: {error}" if is_of_stdout(error) else str(error)
    print(f"gnexp: error: {shown(message)}", file=sys.stderr)


def is_of_stdout(error: Exception) -> bool:
    """Whether what is printed is not taken (`> /dev/full`); errors of files name them."""
    return isinstance(error, OSError) and error.errno is not None and error.filename is None
