"""Names of files, which may be any bytes: lists that hold them all, and lines that show them in every terminal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from gnexp.system.files import write_text


def shown(name: str | bytes) -> str:
    """A name as it stands in a line: what does not print, line breaks and bytes that are no UTF-8, is escaped."""
    text = stored(os.fsdecode(name))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def stored(name: str) -> str:
    """A name as lists have it: its bytes read as UTF-8, whatever the locale reads them as."""
    try:
        return os.fsencode(name).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a name that this locale's files cannot have
        return name


def write_reasons(path: Path, reasons: Mapping[str, str]) -> None:
    """Writes a list of files and what is wrong with each atomically: a JSON object a line, in ASCII, sorted by name.

    Args:
        path: of the list.
        reasons: by the names, as `stored` has them.
    """
    lines = (json.dumps({"file": name, "reason": reason}) for name, reason in sorted(reasons.items()))
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_reasons(path: Path) -> dict[str, str]:
    """What write_reasons has written; nothing where there is no list.

    Raises:
        ValueError: the list is damaged.
    """
    if not path.exists():
        return {}
    try:
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return {str(entry["file"]): str(entry["reason"]) for entry in entries}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no list of files and reasons ({error}); delete it") from None


def escape_unprintable() -> None:
    """Has stdout and stderr escape what their encoding lacks, where they would end the process with an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that is lost, or a stream that was put on something else: what is printed is then lost anyhow.
            with contextlib.suppress(OSError):
                stream.reconfigure(errors="backslashreplace")
