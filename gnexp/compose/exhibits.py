"""What conf/ says of results: its exhibits, its claims, and the numbers that are known to be stale, as plain values."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

from gnexp.config.keys import check_choice, conf_dir
from gnexp.config.yaml_file import read_yaml

_DEMO = (
    "demo"  # in an exhibit's file: what it is on the garments of that scale, over what it is on photographs
)


def load_exhibits(names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The exhibits of conf/exhibit as plain dicts, in the order of their files; all of them unless some are named.

    Raises:
        ValueError: a name that is none, or a file that is no mapping.
    """
    found = _read_exhibits()
    for name in names or ():
        check_choice("exhibit", name, list(found))
    return list(found.values()) if names is None else [found[name] for name in names]


def exhibit_names() -> list[str]:
    """Every exhibit that there is.

    Raises:
        ValueError: a file that is no mapping.
    """
    return list(_read_exhibits())


def _read_exhibits() -> dict[str, dict[str, Any]]:
    """Each exhibit by its name.

    A file with a block `demo` is two: table2 and, on generated garments, its twin table2_demo, which stands behind it.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((conf_dir() / "exhibit").glob("*.yaml")):
        values = read_yaml(path)
        if not isinstance(values, dict) or not isinstance(values.get(_DEMO, {}), dict):
            raise ValueError(f"{path} must hold keys and values, and so must its block {_DEMO} if it has one")
        has_demo, over = _DEMO in values, values.pop(_DEMO, {})
        found[path.stem] = typing.cast(dict[str, Any], values)
        if has_demo:
            name = f"{path.stem}_{_DEMO}"
            found[name] = {**values, "scale": _DEMO, **over, "id": name, "twin": path.stem}
            found[path.stem]["twin"] = name
    return found


def load_claims() -> dict[str, Any]:
    """The files of conf/claim by name; their schema is report/exhibits/claims.py's.

    Raises:
        ValueError: a file cannot be read.
    """
    return {path.stem: read_yaml(path) for path in sorted((conf_dir() / "claim").glob("*.yaml"))}


def load_scoreboard() -> Any:
    """conf/scoreboard.yaml; its schema is report/exhibits/scoreboard.py's.

    Raises:
        ValueError: the file cannot be read.
    """
    return read_yaml(conf_dir() / "scoreboard.yaml")


def load_stale() -> Any:
    """The entries of conf/stale.yaml; their schema is report/exhibits/stale.py's.

    Raises:
        ValueError: the file cannot be read.
    """
    return read_yaml(conf_dir() / "stale.yaml") or []
