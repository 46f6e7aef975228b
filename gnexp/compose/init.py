"""From what a person names with init= to what a run records: whose weights it starts from, and where they lie."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path

from gnexp.config.fields import FILE_HASH
from gnexp.config.layouts import HEAD, layout_of
from gnexp.runs.directory import RunDirectory, named_run_dir
from gnexp.runs.result import FINISHED, finished
from gnexp.runs.spec import recorded_id

_CHUNK = 1 << 22


def resolve_init(given: str | None, path: str | None, runs_dir: Path) -> tuple[str, str]:
    """The init and init_path of a run's config.

    A finished run is named by its id however it was spelled, any other file by its sha256, so that one set of weights
    gives one run_id.

    Args:
        given: a file, a run's directory, its id or the start of it; or what the file at `path` holds, a run's id or
            sha256:HEX.
        path: init_path, if a person gave one.
        runs_dir: where run directories lie.

    Raises:
        ValueError: there is no such file or run, or the run has no final weights.
    """
    if not given:
        raise ValueError(f"init_path={path} goes with init, which finds it; give init=PATH")
    if given.startswith(FILE_HASH):
        if path is None or not Path(path).is_file():
            raise ValueError(
                f"init={given} names a file by its content alone: give init=PATH, or init_path=PATH beside it"
            )
        if (found := _named_by_content(Path(path))) != given:
            raise ValueError(f"init_path={path} must be the file of init={given}, its content is {found}")
        return given, str(Path(path).resolve())
    if path is not None and re.fullmatch(r"[0-9a-f]{12}", given):
        return given, path  # a run that may still be to come: what reads the weights checks whose they are
    place = Path(given).expanduser()
    if place.is_file() and not _is_final_weights(place):
        return _named_by_content(place), str(place.resolve())
    try:
        run_dir = named_run_dir(str(place.parent if place.is_file() else place), runs_dir)
    except ValueError as error:
        raise ValueError(
            f"init must be a file of weights or a finished run, got {given}: no such file, and {error}"
        ) from None
    return _finished_run(run_dir), str(run_dir.weights.resolve())


def resolve_layout(given: str | None, init: str, path: str) -> str | None:
    """The init_layout of a run's config: what was given, or what is known of the file.

    Args:
        given: init_layout, if a person gave it.
        init: as resolve_init returns it.
        path: of the file.
    """
    if given is not None or not init.startswith(FILE_HASH):
        return given
    with open(path, "rb") as file:
        head = file.read(HEAD)
    return layout_of(Path(path).suffix, head, init.removeprefix(FILE_HASH))


def _is_final_weights(path: Path) -> bool:
    directory = RunDirectory(path.parent)
    return path == directory.weights and directory.spec.is_file()


def _finished_run(run_dir: RunDirectory) -> str:
    """The run_id of a run that has final weights."""
    result = finished(run_dir)
    if result is None:
        raise ValueError(f"init={run_dir.name} has not finished; train it first, or name a file of weights")
    if result.status != FINISHED or not run_dir.weights.is_file():
        raise ValueError(f"init={run_dir.name} has no final weights ({result.status}); choose another run")
    if (spec_id := recorded_id(run_dir.spec)) != result.run_id:
        raise ValueError(f"{run_dir} holds the spec of {spec_id} and the result of {result.run_id}")
    return result.run_id


def _named_by_content(path: Path) -> str:
    stat = path.stat()
    return FILE_HASH + _sha256(path.resolve(), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache  # a sweep composes many runs that start from one file
def _sha256(path: Path, size: int, modified: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
