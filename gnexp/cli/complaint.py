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
    print(f"gnexp: error: {shown(str(error))}", file=sys.stderr)
