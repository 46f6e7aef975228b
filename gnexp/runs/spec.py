"""spec.json: what a trainer is told, and from then on what a run's directory is of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.config import NormConfig, RunConfig, from_dict, to_dict
from gnexp.config.kinds import classes_of, packages_of
from gnexp.runs.directory import RunDirectory, unwritable
from gnexp.system.files import write_json

FORMAT = 1


@dataclass(frozen=True)
class Spec:
    """A run and where it lies."""

    run: RunConfig
    directory: RunDirectory


class FormatError(ValueError):
    """A spec is of another format than this gnexp's."""


def write_spec(run: RunConfig, directory: RunDirectory, rank: int = 0) -> Path:
    """Writes a run's spec; one of its own for each process that an outer torchrun started. A new start has no error.

    Raises:
        ValueError: the directory holds another run or a spec of another format, or cannot be written.
    """
    path = directory.spec_of(rank)
    try:
        if path.exists() and (other := _described_id(path)) not in (None, run.run_id):
            raise ValueError(f"{path} describes run {other}, not {run.run_id}: move {directory} away")
        values = {"format": FORMAT, "run_id": run.run_id, "label": run.label, "config": to_dict(run)}
        packages = packages_of(run.norms)
        write_json(path, values | ({"norm_packages": packages} if packages else {}))
        directory.error.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(unwritable(directory, error)) from None
    return path


def load_spec(path: Path) -> Spec:
    """Reads a spec.

    Raises:
        ValueError: it is damaged, of another format, or its config is not the one that its run_id was computed from.
    """
    try:
        values = _read(path)
        config, run_id, packages = values["config"], values["run_id"], dict(values.get("norm_packages", {}))
    except FormatError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} is not a run's spec ({error}); start the run again with gnexp train"
        ) from None
    try:
        run = from_dict(config)
    except (ValueError, TypeError, AttributeError) as error:
        if missing := [kind for kind in packages if kind not in classes_of(NormConfig.group)]:
            raise ValueError(
                f"{path} has norm {missing[0]} of package {packages[missing[0]]}, which is not installed here; "
                "pip install it"
            ) from None
        raise ValueError(
            f"{path} has a config that this gnexp does not read ({error}): go on with the gnexp that wrote it, "
            "or start the run again with gnexp train"
        ) from None
    if run.run_id != run_id:
        raise ValueError(
            f"{path} says run_id {run_id}, its config makes {run.run_id}; start the run again with gnexp train"
        )
    return Spec(run, RunDirectory(path.parent))


def recorded_id(path: Path) -> str:
    """The run_id that a spec names, whether or not this gnexp can read its config.

    Raises:
        ValueError: it is damaged or of another format.
    """
    try:
        return str(_read(path)["run_id"])
    except (OSError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a run's spec ({error})") from None


def _described_id(path: Path) -> str | None:
    """The run_id of what a spec says; None where it is torn, since it is then written anew."""
    try:
        return from_dict(_read(path)["config"]).run_id
    except FormatError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "format" not in values:
        raise ValueError("it names no format")
    found = values["format"]
    if found != FORMAT:
        age = "a newer" if isinstance(found, int) and found > FORMAT else "another"
        raise FormatError(
            f"{path} has format {found}, of {age} gnexp; this one reads format {FORMAT}: "
            f"go on with the gnexp that wrote it, or move {path.parent} away and start the run again"
        )
    return values
