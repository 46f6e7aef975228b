"""What conf/ says of results: its exhibits, its claims, and the numbers that are known to be stale, as plain values."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from gnexp.config.keys import check_choice, conf_dir


def load_exhibits(names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The exhibits of conf/exhibit as plain dicts, in the order of their names; all of them unless some are named.

    Raises:
        ValueError: a name that is none, or a file that is no mapping.
    """
    files = {path.stem: path for path in sorted((conf_dir() / "exhibit").glob("*.yaml"))}
    for name in names or ():
        check_choice("exhibit", name, list(files))
    exhibits = []
    for name in files if names is None else names:
        exhibit = _load(files[name])
        if not isinstance(exhibit, dict):
            raise ValueError(f"{files[name]} must hold keys and values")
        exhibits.append(typing.cast(dict[str, Any], exhibit))
    return exhibits


def load_claims() -> dict[str, Any]:
    """The files of conf/claim by name; their schema is report/exhibits/claims.py's.

    Raises:
        ValueError: a file cannot be read.
    """
    return {path.stem: _load(path) for path in sorted((conf_dir() / "claim").glob("*.yaml"))}


def load_scoreboard() -> Any:
    """conf/scoreboard.yaml; its schema is report/exhibits/scoreboard.py's.

    Raises:
        ValueError: the file cannot be read.
    """
    return _load(conf_dir() / "scoreboard.yaml")


def load_stale() -> Any:
    """The entries of conf/stale.yaml; their schema is report/exhibits/stale.py's.

    Raises:
        ValueError: the file cannot be read.
    """
    return _load(conf_dir() / "stale.yaml")


def _load(path: Path) -> Any:
    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception as error:
        raise ValueError(f"cannot read {path}: {' '.join(str(error).split())}") from None
