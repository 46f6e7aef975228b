"""The rows of Kinetics' own lists: label, id, start and end. Without torch: archives are sorted by them too."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

_COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def read_labels(path: Path) -> dict[str, str]:
    """The label of each video of a list, by the name of its file without suffix.

    Raises:
        ValueError: as read_rows does.
    """
    return {name: label for label, name in read_rows(path)}


def read_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Label and file name, without its suffix, of each row.

    Raises:
        ValueError: a list that cannot be read, or a row that is broken or names what lies elsewhere.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lacking = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
            if lacking:
                raise ValueError(
                    f"{path} must have the columns {', '.join(_COLUMNS)} in its first row, it lacks {lacking[0]}; "
                    "take Kinetics' own list"
                )
            for row in reader:
                yield _name(row, f"{path}, line {reader.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"cannot read {path}: {reason}; take Kinetics' own list") from error


def _name(row: dict[str, str | None], place: str) -> tuple[str, str]:
    label, video = row["label"] or "", row["youtube_id"] or ""
    for column, word in (("label", label), ("youtube_id", video)):
        if word in ("", ".", "..") or any(sign in word for sign in "/\\\0"):
            raise ValueError(
                f"{place}: {column} must be the name of a file or folder within data.root, got {word!r}; mend the row"
            )
    try:
        start, end = (int(row[column] or "") for column in ("time_start", "time_end"))
    except ValueError:
        raise ValueError(
            f"{place}: time_start and time_end must be whole seconds, got {row['time_start']} and {row['time_end']}; "
            "mend the row"
        ) from None
    return label, f"{video}_{start:06d}_{end:06d}"
