"""What a command line may name: the config groups and their options, the keys, and what was meant by a wrong one.

All that can be known of overrides without Hydra.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import itertools
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gnexp.config import RunConfig
from gnexp.config.kinds import KIND_GROUPS, choices_of, fields_of, group_of, offers

GROUPS = ("norm", "model", "data", "recipe", "scale", "experiment")
SWEEP_KEYS = ("seeds", "dry_run", "results_dir", "budget")
COMMAND_KEYS = (*SWEEP_KEYS, "runs_dir")
PATH_KEYS = ("runs_dir", "results_dir", "data.root", "init", "init_path")
DEFAULT_SCALE = "demo"
DEFAULT_EXPERIMENT = "batch_size"  # what `gnexp sweep` alone runs
ALL_EXPERIMENTS = "all"  # in the place of a name: every experiment that has a block for the scale


def conf_dir() -> Path:
    """Where conf/ is: inside the package in a wheel, beside it in a working tree.

    Raises:
        FileNotFoundError: neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for place in (package / "conf", package.parent / "conf"):
        if (place / "config.yaml").is_file():
            return place
    raise FileNotFoundError(
        f"gnexp's conf/ is missing: neither in {package} nor in {package.parent}; install it again"
    )


def group_options(group: str) -> list[str]:
    """The options of a group: of conf/, and the norms of installed packages.

    Without the user's own directories, which need Hydra's search path.
    """
    files = [path.stem for path in (conf_dir() / group).glob("*.yaml") if not path.stem.startswith("_")]
    return sorted([*files, *(offers().classes if group == "norm" else ())])


def benchmarks_dir() -> Path:
    """Where gnexp's repository has its benchmarks; the package comes without them."""
    return Path(__file__).resolve().parents[2] / "benchmarks"


def benchmark_names() -> list[str]:
    """What `gnexp bench` can run."""
    return sorted(path.stem.removeprefix("bench_") for path in benchmarks_dir().glob("bench_*.py"))


@functools.cache
def known_keys() -> tuple[str, ...]:
    """Every key that a command line may set: groups, and the schema's fields with dots between the levels."""
    return (*dict.fromkeys((*_fields(), *GROUPS)), *COMMAND_KEYS)


@functools.cache
def hardware_keys() -> tuple[str, ...]:
    """The keys that change no number beyond rounding."""
    return tuple(key for key, (f, _) in _fields().items() if f.metadata["part"] == "hardware")


@functools.cache
def text_keys() -> frozenset[str]:
    """The keys whose value is text, whatever number or truth value it looks like."""
    texts = {key for key, (_, hint) in _fields().items() if hint in (str, str | None)}
    return frozenset(texts | {*GROUPS, *PATH_KEYS, "budget"})


def type_of(key: str) -> Any:
    """The type of a key's values, as a command line spells them."""
    return _fields()[key][1]


def title_of(key: str) -> str:
    """A field in words; its name where it has no title."""
    return _fields()[key][0].metadata["title"] or key.rpartition(".")[2].replace("_", " ")


@functools.cache
def _fields() -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """Key -> its field and type; of a group's keys those of every kind."""
    keys: dict[str, tuple[dataclasses.Field[Any], Any]] = {}
    hints = typing.get_type_hints(RunConfig)
    for f in dataclasses.fields(RunConfig):
        if group := group_of(hints[f.name]):
            keys |= {f"{f.name}.{name}": found for name, found in fields_of(group).items()}
        elif dataclasses.is_dataclass(hints[f.name]):
            own = typing.get_type_hints(hints[f.name])
            keys |= {f"{f.name}.{g.name}": (g, own[g.name]) for g in dataclasses.fields(hints[f.name])}
        else:
            keys[f.name] = (f, hints[f.name])
    return keys


def choices_of_fields() -> dict[str, tuple[str, ...]]:
    """Key -> its values, of the keys that have few; what completion offers."""
    found: dict[str, tuple[str, ...]] = {"dry_run": ("true", "false")}
    for key, (f, hint) in _fields().items():
        group, _, name = key.rpartition(".")
        offered = choices_of(group, name) if group in KIND_GROUPS else f.metadata["choices"]
        offered = offered or f.metadata.get("offered", ())
        if hint in (bool, bool | None):
            found[key] = ("true", "false")
        elif len(offered) > 1:
            found[key] = tuple(map(str, offered))
    return found


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The end of an error about an unknown word: "; did you mean batch?", or nothing where nothing is near."""
    # num_groups means norm.num_groups: the last part of a key counts as a name of it.
    by_last_part = [key for key in known if key.rsplit(".", 1)[-1] == word]
    near = by_last_part or difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if not near:
        last_parts = {key.rsplit(".", 1)[-1]: key for key in known}
        near = [
            last_parts[part] for part in difflib.get_close_matches(word, list(last_parts), n=1, cutoff=0.7)
        ]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def check_key(key: str) -> None:
    """Checks that a key exists.

    Raises:
        ValueError: it does not; with the nearest that do.
    """
    if key not in known_keys():
        raise ValueError(
            f"unknown key {key}{did_you_mean(key, known_keys()) or '; see `gnexp train --cfg job`'}"
        )


def check_choice(group: str, value: Any, options: Sequence[str]) -> None:
    """Checks that a group, or a verb's setting, offers a choice.

    Raises:
        ValueError: it does not; with all that it offers, or with what is wrong with the package that would have it.
    """
    if group == "norm" and value not in options and value in offers().faults:
        raise ValueError(offers().faults[value])
    if value not in options:
        raise ValueError(
            f"unknown {group} {value!r}: choose from {', '.join(options) or 'none there are'}"
            f"{did_you_mean(str(value), options)}"
        )


def _key_of(override: str) -> str:
    return override.split("=", 1)[0]


def merge_overrides(*layers: Iterable[str]) -> list[str]:
    """Layers of overrides as one list with each key once: Hydra refuses two choices of a group. The last one wins."""
    merged: dict[str, str] = {}
    for override in itertools.chain(*layers):
        merged.pop(_key_of(override), None)
        merged[_key_of(override)] = override
    return list(merged.values())
