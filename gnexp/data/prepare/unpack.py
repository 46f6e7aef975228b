"""Unpacks a data set's archives: asks for room, compares MD5s, writes each part beside its place, and puts it there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gnexp.data.prepare.members import naming_damage
from gnexp.data.prepare.part import Archive, Entry, Part, Plan
from gnexp.data.prepare.staging import Staging
from gnexp.system.names import shown

_AT_ONCE = 1 << 20  # bytes
_SYNC_BYTES = 4 << 30  # so much is compared again at most after a kill
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def unpack(plan: Plan, data: str, root: Path, *, checks_md5: bool) -> None:
    """Unpacks what is not there yet, and says so line by line, with a bar on a terminal.

    Args:
        plan: of the archives.
        data: name of the data set.
        root: where its folders belong.
        checks_md5: whether archives with another MD5 than the one that is known are refused.

    Raises:
        ValueError: folders of that name that others have put there, too little room, a wrong MD5, an archive that is
            damaged or holds what must not be, a full disk, or another process at work there.
    """
    staging = Staging(root)
    with staging.held():
        for part in plan.parts:
            if staging.is_whole(part) and not staging.forget_others(part):
                staging.finish_part(part, data)
        waiting = [part for part in plan.parts if not _is_there(part, staging)]
        for note in plan.notes if waiting else ():
            _say(f"note: {note}")
        for part in waiting:
            if staging.forget_others(part):
                _say(f"{part.name}: the archives have changed since, beginning anew")
        _ask_for_room(waiting, staging)
        if checks_md5:
            _check_md5([archive for part in waiting for archive in part.archives], staging)
        for part in waiting:
            _unpack_part(part, staging)
            staging.finish_part(part, data)
            _say(f"{shown(str(root / part.name))}: {_files(staging.num_files(part))}")
        staging.clear()


def _is_there(part: Part, staging: Staging) -> bool:
    place = staging.root / part.name
    if staging.is_prepared(part):
        _say(f"{shown(str(place))}: there already, {_files(staging.num_files(part))}")
        return True
    if place.is_dir() and not any(place.iterdir()):
        return False
    if place.exists() or place.is_symlink():
        raise ValueError(
            f"{place} is there already, and not from here; move it away, give another to=, or see what `gnexp data "
            "check` says of it"
        )
    return False


def _files(num: int) -> str:
    return f"{num} file{'' if num == 1 else 's'}"


def _ask_for_room(parts: Iterable[Part], staging: Staging) -> None:
    needed = sum(part.room for part in parts) - staging.used()
    free = shutil.disk_usage(staging.folder).free
    if needed > free:
        raise ValueError(
            f"unpacking needs {_gigabytes(needed)} in {staging.root}, {_gigabytes(free)} are free; free "
            f"{_gigabytes(needed - free)} more, or give another to="
        )


def _gigabytes(num: int) -> str:
    return f"{num / 1e9:.1f} GB" if num >= 1e8 else f"{num / 1e6:.3f} MB"


def _check_md5(archives: Iterable[Archive], staging: Staging) -> None:
    """Reads each archive once, and names all that are wrong."""
    wrong = []
    for archive in archives:
        if archive.md5 is None:
            continue
        found = staging.md5_of(archive)
        if found is None:
            found = _md5_of(archive)
            staging.keep_md5(archive, found)
        if found != archive.md5:
            wrong.append(f"{archive.path.name} has the MD5 {found} and must have {archive.md5}")
    if wrong:
        raise ValueError(
            f"{'; '.join(wrong)}: damaged, or another file; get it again, or give md5=false to take it as it is"
        )


def _md5_of(archive: Archive) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    _say(f"comparing the MD5 of {archive.path.name}")
    with (
        _bar(archive.size, archive.path.name) as bar,
        naming_damage(str(archive.path)),
        open(archive.path, "rb") as file,
    ):
        while chunk := file.read(_AT_ONCE):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _unpack_part(part: Part, staging: Staging) -> None:
    since_sync, said = 0, ""
    with _bar(part.room, part.name) as bar, contextlib.closing(part.units()) as units:
        for unit in units:
            if unit.archive != said:
                said = unit.archive
                _say(f"unpacking {shown(said)}")
            if staging.has(part, unit.name):
                bar.update(unit.size)
                continue
            for entry in unit.entries():
                write_entry(staging.path_of(part, entry), entry)
                since_sync += entry.member.size
                bar.update(entry.member.size)
            staging.finish_unit(part, unit.name)
            if since_sync >= _SYNC_BYTES:
                staging.sync()
                since_sync = 0


def write_entry(path: Path, entry: Entry) -> None:
    """Writes a file, unless the very same is there.

    Raises:
        ValueError: its member is damaged, or it cannot be written, as on a full disk.
    """
    if _is_same(path, entry):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            for chunk in entry.member.read():
                file.write(chunk)
    except OSError as error:
        what = "the disk is full" if error.errno in _FULL else "it cannot be written"
        raise ValueError(
            f"{shown(str(path))}: {error.strerror}: {what}; mend that and give the same command again, it goes on from "
            "there"
        ) from error


def _is_same(path: Path, entry: Entry) -> bool:
    """Whether a file that a process left, which was killed, has a member's very bytes."""
    try:
        status = path.lstat()
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size != entry.member.size:
        return False
    with open(path, "rb") as file:
        return all(file.read(len(chunk)) == chunk for chunk in entry.member.read())


def _bar(total: int, what: str) -> Any:
    return tqdm(
        total=total, desc=what, unit="B", unit_scale=True, leave=False, disable=not sys.stderr.isatty()
    )


def _say(line: str) -> None:
    with tqdm.external_write_mode(file=sys.stdout):
        print(line, flush=True)
