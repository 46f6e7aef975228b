"""A COCO annotation file as JSON: read whole, its entries by id, and the one line of what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

Entry = dict[str, Any]
FIX = "mend or remove it, or give data.on_error=skip"


class EntryError(ValueError):
    """An entry that cannot be used as it is: the file, the entry, what is wrong with it, what to do."""

    def __init__(self, path: Path, what: str, reason: str, fix: str) -> None:
        super().__init__(f"{path}: {what}: {reason}; {fix}")
        self.what, self.reason, self.fix = what, reason, fix


Faults = list[EntryError]


def refuse(path: Path, what: str, reason: str, fix: str = FIX) -> NoReturn:
    """Raises the one line."""
    raise EntryError(path, what, reason, fix)


def read_json(path: Path) -> tuple[Entry, bytes]:
    """An annotation file's content, as objects and as it is.

    Raises:
        ValueError: it is missing, cannot be read or is no JSON object.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"cannot read {path}: {error.strerror}; data.root must hold train2017/, val2017/ and annotations/"
        ) from error
    try:
        found = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} must be JSON, got {first_line(error)}; copy it again, or mend it"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must be a JSON object of images, annotations and categories; mend it")
    return found, content


def read_entries(
    path: Path, entries: list[Any], what: str, faults: Faults | None, fix: str = FIX
) -> dict[int, Entry]:
    """The entries of a list by their ids, in its order.

    Args:
        path: of the annotation file.
        entries: the list.
        what: an entry is, for the line.
        faults: where the entries go that have no id of their own; None = the first one is raised.
        fix: what to do about one.

    Raises:
        EntryError: an id that is no whole number, or there twice.
    """
    found: dict[int, Entry] = {}
    for place, entry in enumerate(entries):
        number: Any = entry.get("id") if isinstance(entry, dict) else None
        try:
            if not is_integer(number):
                refuse(
                    path, f"{what} at place {place}", f"its id must be a whole number, got {number!r}", fix
                )
            if number in found:
                refuse(path, f"{what} {number}", "is there twice", fix)
        except EntryError as error:
            if faults is None:
                raise
            faults.append(error)
            continue
        found[number] = entry
    return found


def is_integer(value: Any) -> bool:
    """Whether a value is a whole number, of a size that numpy takes; 64.0 and true are none."""
    return type(value) is int and abs(value) < 2**62


def is_number(value: Any) -> bool:
    """Whether a value is a number that a picture could have."""
    return type(value) in (int, float) and abs(value) < 1e9


def first_line(error: Exception) -> str:
    """What an error says, short."""
    return str(error).split("\n")[0] or type(error).__name__


def _no_number(name: str) -> NoReturn:
    """For json: NaN and Infinity are none of its numbers."""
    raise ValueError(f"{name}, which is no number")
