"""The lines of help about the keys of a run: each field tells its own default, title, unit and choices."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from typing import Any

from gnexp.cli.verb import Row
from gnexp.config import RunConfig
from gnexp.config.keys import GROUPS, group_options
from gnexp.config.spelling import spell

FOUND = {"init_path"}  # follows from another key
_FEW = 8  # options that are listed; of more it is said what lists them
_WIDTH = 85  # of the text behind a key


def run_rows() -> list[Row]:
    """A line a group of conf/, then one a field of every run."""
    run = RunConfig()
    groups = [Row(*_group(name)) for name in GROUPS if name != "experiment"]
    own = [f for f in dataclasses.fields(run) if f.name not in {*GROUPS, *FOUND} and "part" in f.metadata]
    return [*groups, *(Row(f"{f.name}={_spelled(f.default)}", _text(f)) for f in own)]


def _group(name: str) -> tuple[str, str]:
    options = group_options(name)
    is_listed = name == "norm" or len(options) <= _FEW
    text = "|".join(options) if is_listed else f"one of {len(options)} files of conf/{name}, which Tab lists"
    if name != "scale":
        text += f"; any {name}.FIELD" if is_listed else f"; {name}.FIELD: `--cfg job` lists them"
    return f"{name}=", "\n".join(textwrap.wrap(text, _WIDTH, break_long_words=False))


def _spelled(default: Any) -> str:
    return "" if default is None else spell(default)


def _text(f: dataclasses.Field[Any]) -> str:
    return "; ".join(_parts(f))


def _parts(f: dataclasses.Field[Any]) -> Iterator[str]:
    title, unit = f.metadata["title"], f.metadata["unit"]
    yield f"{unit} {title}".strip()
    if choices := f.metadata["choices"] or f.metadata.get("offered", ()):
        yield "|".join(map(str, choices))
