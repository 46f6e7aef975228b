"""The list of a run's files that could not be read and entries that were odd, and why."""

from __future__ import annotations

from gnexp.runs.directory import RunDirectory
from gnexp.system.names import read_reasons


def read_skipped(directory: RunDirectory) -> dict[str, str]:
    """Why each was skipped, by its name as `stored` has them.

    Raises:
        ValueError: the list is damaged.
    """
    old = directory.old_skipped
    if not directory.skipped.exists() and old.exists():
        lines = old.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        return dict(line.split("\t", 1) for line in lines if "\t" in line)
    return read_reasons(directory.skipped)
