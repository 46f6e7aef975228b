"""Where a data set is unpacked before training may see it: a hidden folder in the same place, and its journal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gnexp.data.prepare.part import Archive, Entry, Part
from gnexp.system.files import write_json

RECORD = "prepared.json"  # of a data set: which archives its parts came from
_FOLDER, _JOURNAL, _LOCK = ".unpacking", "journal.json", "lock"


class Staging:
    """TO/.unpacking, on TO's own disk: a part moves from there to its place by a rename, once it is whole.

    A unit that the journal has is whole, after a power cut too. Other files may be there in part, and are compared.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / _FOLDER
        self._pending: list[str] = []
        self._journal: dict[str, Any] = {"archives": {}, "md5": {}, "units": [], "whole": {}}

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Inside, no other process unpacks here.

        Raises:
            ValueError: one does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / _LOCK, "a", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(
                    f"another gnexp data prepare is at work in {self.root}; wait until it has ended"
                ) from None
            self._read_journal()
            yield

    def _read_journal(self) -> None:
        with contextlib.suppress(FileNotFoundError, ValueError):  # of ours, damaged: all is unpacked again
            self._journal |= json.loads((self.folder / _JOURNAL).read_text(encoding="utf-8"))

    def _write_journal(self) -> None:
        write_json(self.folder / _JOURNAL, self._journal)

    def forget_others(self, part: Part) -> bool:
        """Drops what was unpacked of a part from other archives than these; returns whether anything was."""
        found = {archive.path.name: _identity(archive) for archive in part.archives}
        before = self._journal["archives"].get(part.name)
        if before == found:
            return False
        self._remove(part.name)
        self._journal["archives"][part.name] = found
        self._journal["units"] = [
            unit for unit in self._journal["units"] if unit.partition(":")[0] != part.name
        ]
        self._journal["whole"].pop(part.name, None)
        self._write_journal()
        return before is not None

    def _remove(self, name: str) -> None:
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def md5_of(self, archive: Archive) -> str | None:
        """An archive's MD5, if it has been computed since it last changed."""
        found = self._journal["md5"].get(str(archive.path))
        return str(found[-1]) if found and found[:-1] == _identity(archive) else None

    def keep_md5(self, archive: Archive, md5: str) -> None:
        """Spares an archive from being read once more for its MD5."""
        self._journal["md5"][str(archive.path)] = [*_identity(archive), md5]
        self._write_journal()

    def has(self, part: Part, unit: str) -> bool:
        """Whether all files of a unit are there and on the disk."""
        return f"{part.name}:{unit}" in self._done

    @property
    def _done(self) -> set[str]:
        return set(self._journal["units"])

    def finish_unit(self, part: Part, unit: str) -> None:
        """Takes note of a unit; `sync` writes it down."""
        self._pending.append(f"{part.name}:{unit}")

    def sync(self) -> None:
        """Has the disk hold all that was written, and only then says so in the journal."""
        os.sync()  # one call: fsync of each of 1.28 million files would take longer than to unpack them
        self._journal["units"] += self._pending
        self._pending = []
        self._write_journal()

    def path_of(self, part: Part, entry: Entry) -> Path:
        """Where a file is written."""
        return self.folder / part.name / entry.path if entry.path else self.folder / part.name

    def used(self) -> int:
        """Bytes that are unpacked and not yet in their place."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            total += sum(os.lstat(os.path.join(folder, name)).st_blocks * 512 for name in names)
        return total

    def is_prepared(self, part: Part) -> bool:
        """Whether a part was put in its place by gnexp, and is still there."""
        return part.name in self._record()["parts"] and (self.root / part.name).exists()

    def is_whole(self, part: Part) -> bool:
        """Whether all of a part has been unpacked, and at most the rename is left to do."""
        return part.name in self._journal["whole"]

    def finish_part(self, part: Part, data: str) -> None:
        """Puts a part in its place, whole; a process that was killed in the midst of this has this called again."""
        if not self.is_whole(part):
            self.sync()
            found = {
                archive.path.name: {
                    "bytes": archive.size,
                    "md5": md5[-1] if (md5 := self._journal["md5"].get(str(archive.path))) else None,
                }
                for archive in part.archives
            }
            self._journal["whole"][part.name] = {"files": self._count(part), "archives": found}
            self._write_journal()
        with contextlib.suppress(FileNotFoundError):  # it is in its place already
            os.rename(self.folder / part.name, self.root / part.name)
        record = self._record()
        record["data"] = data
        record["parts"][part.name] = self._journal["whole"][part.name]
        write_json(self.root / RECORD, record)

    def _count(self, part: Part) -> int:
        path = self.folder / part.name
        return sum(len(names) for _, _, names in os.walk(path)) if path.is_dir() else 1

    def num_files(self, part: Part) -> int:
        """Files of a part that is in its place."""
        return int(self._record()["parts"][part.name]["files"])

    def _record(self) -> dict[str, Any]:
        try:
            found = json.loads((self.root / RECORD).read_text(encoding="utf-8"))
            return {"data": found["data"], "parts": dict(found["parts"])}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {"data": "", "parts": {}}

    def clear(self) -> None:
        """Removes the folder; the last thing that is done."""
        shutil.rmtree(self.folder)


def _identity(archive: Archive) -> list[int]:
    status = archive.path.stat()
    return [status.st_size, status.st_mtime_ns]
