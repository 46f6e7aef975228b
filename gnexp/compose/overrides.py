"""What overrides say, by Hydra's own grammar: how they are parsed, and what went wrong in one line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Transformer, ValueType
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gnexp.config.keys import (
    ALL_EXPERIMENTS,
    COMMAND_KEYS,
    DEFAULT_SCALE,
    GROUPS,
    PATH_KEYS,
    SWEEP_KEYS,
    check_choice,
    check_key,
    group_options,
    hardware_keys,
    text_keys,
)
from gnexp.config.spelling import quoting, read_path, read_texts, spell

_HYDRA_PREFIXES = ("hydra.", "hydra/")
_MAY_BE_ADDED = ("+hydra.launcher.", "++hydra.launcher.")  # Ray's launcher has dicts, empty until told


def explain(error: Exception) -> str:
    """One line of a Hydra or OmegaConf error: its deepest cause and the key it is about.

    Of an error of OmegaConf no cause: it has one in a debugger alone, with a message of blanks and, at times, itself.
    """
    deepest: BaseException = error
    while isinstance(deepest, HydraException) and isinstance(
        deepest.__cause__, HydraException | OmegaConfBaseException
    ):
        deepest = deepest.__cause__
    lines = [line.strip() for line in str(deepest).splitlines() if line.strip()] or [type(deepest).__name__]
    key = next((line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")), "")
    about = f"{key}: " if key and key not in lines[0] else ""
    if lines[0].endswith(":") and lines[1:]:
        # "In 'norm/x': ConfigKeyError raised while composing config:", with the message beneath it.
        return f"{lines[0].split(': ')[0]}: {about if key not in lines[1] else ''}{lines[1]}"
    return about + lines[0]


def parse(overrides: Iterable[str]) -> list[Override]:
    """Parses overrides.

    Raises:
        ValueError: one is not of the form key=value.
    """
    return [_parse(text) for text in overrides]


@functools.cache  # a sweep's cells have most of their words in common
def _parse(text: str) -> Override:
    if text.startswith(("~", "+")) and not text.startswith(_MAY_BE_ADDED):
        raise ValueError(f"{text!r}: keys cannot be added or removed, only set; write key=value")
    if "=" not in text:
        raise ValueError(f"expected key=value, got {text!r}")
    key, _, raw = text.partition("=")
    texts = _texts(key, raw) if key in text_keys() else None
    line = text if texts is None else f"{key}={','.join(map(spell, texts))}"
    try:
        override = OverridesParser.create().parse_override(line)
    except HydraException as error:
        raise ValueError(f"cannot read {text!r}: {explain(error)}; quote it as {quoting(key, raw)}") from None
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        known = ",".join(group_options(key)) if key in GROUPS else "A,B"
        raise ValueError(f"{text}: a pattern chooses nothing; list what is meant, such as {key}={known}")
    if (
        key in text_keys()
        and texts is None
        and (not override.is_sweep_override() or override.is_discrete_sweep())
    ):
        # Of a list in a function Hydra has read the elements: which text 20241 was can no longer be said.
        for value in values_of(override):
            if isinstance(value, bool | int | float):
                raise ValueError(f"{text}: {key} holds text, and {value} is none; quote each element of it")
    return override


def _texts(key: str, raw: str) -> list[str | None] | None:
    """The values of a text key, where they are no matter of Hydra's; of a path a leading ~ is a home."""
    if not raw.strip():
        raise ValueError(f"expected {key}=VALUE, got {f'{key}={raw}'!r}")
    try:
        texts = read_texts(raw)
    except ValueError as error:
        raise ValueError(
            f"cannot read {f'{key}={raw}'!r}: {error}; quote it as {quoting(key, raw)}"
        ) from None
    if texts is None or key not in PATH_KEYS:
        return texts
    return [text if text is None else read_path(key, text) for text in texts]


def respell(overrides: Iterable[str]) -> list[str]:
    """Overrides so that Hydra reads in them what gnexp does: the text of text keys in quotes where it needs them."""
    return [override.input_line or "" for override in parse(overrides)]


def is_hydra(override: Override) -> bool:
    """Whether an override is for Hydra itself (its launcher, its search path) and no part of a run."""
    return f"{override.key_or_group}.".startswith(_HYDRA_PREFIXES)


def values_of(override: Override) -> list[Any]:
    """The values an override lists: one, or several where it is a sweep such as batch=2,4."""
    if override.is_sweep_override():
        return [_plain(value) for value in override.sweep_iterator(transformer=Transformer.identity)]
    return [_plain(override.value())]


def _plain(value: Any) -> Any:
    value = getattr(value, "text", value)  # a quoted string stands for its text
    if not isinstance(value, str) or "${" not in value:
        return value
    try:
        return OmegaConf.create({"value": value}).value  # of an environment variable, or braces that are text
    except OmegaConfBaseException as error:
        raise ValueError(f"cannot read {value!r}: {explain(error)}") from None


def runs_dir_of(overrides: Sequence[str]) -> Path:
    """Where run directories lie, as overrides say."""
    named = {override.key_or_group: override for override in parse(overrides)}
    return Path(str(values_of(named["runs_dir"])[0])) if "runs_dir" in named else Path("runs")


def question(overrides: Sequence[str]) -> tuple[str, str]:
    """The experiment and the scale that a command line names."""
    named = {override.key_or_group: spell(values_of(override)[0]) for override in parse(overrides)}
    return named.get("experiment", "null"), named.get("scale", DEFAULT_SCALE)


def check(overrides: Sequence[str], options: Callable[[str], list[str]], *, sweep: bool) -> None:
    """Checks keys and choices, so that a mistake is named before anything is composed or started.

    Args:
        overrides: of a command line.
        options: the choices that a group offers.
        sweep: whether several runs are asked for.

    Raises:
        ValueError: an unknown key or choice, or several values outside a sweep.
    """
    for text, override in zip(overrides, parse(overrides), strict=True):
        if is_hydra(override):
            if "/" in override.key_or_group:
                for value in values_of(override):
                    check_choice(override.key_or_group, value, options(override.key_or_group))
            continue
        key = override.key_or_group
        if override.package:
            raise ValueError(f"{text!r}: a group goes where its file says; write {key}=value")
        check_key(key)
        if key in SWEEP_KEYS and not sweep:
            raise ValueError(f"{key} is for `gnexp sweep`; `gnexp train` makes one run")
        if key in (*SWEEP_KEYS, "experiment", "scale", "runs_dir") and override.is_sweep_override():
            raise ValueError(f"{text}: a sweep has one {key}; start one sweep after the other{_hint(text)}")
        if override.is_sweep_override() and not sweep:
            raise ValueError(f"{text} lists several values; `gnexp sweep` makes one run of each{_hint(text)}")
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise ValueError(f"{text}: a sweep needs listed values, such as {key}=1,2")
        if key == "experiment" and values_of(override) == [ALL_EXPERIMENTS]:
            if not sweep:
                raise ValueError(f"{text} is for `gnexp sweep` and `gnexp plan`; `gnexp train` makes one run")
            _check_for_all(overrides)
        elif key in GROUPS:
            offered = options(key) + [ALL_EXPERIMENTS] * (key == "experiment" and sweep)
            for value in values_of(override):
                if not (key == "experiment" and value is None):
                    check_choice(key, value, offered)


def _hint(text: str) -> str:
    """The end of an error about a list that may have been meant as one text, such as a path with a comma in it."""
    key, _, raw = text.partition("=")
    return f"; if it is one value, quote it as {quoting(key, raw)}" if key in text_keys() - {*GROUPS} else ""


def _check_for_all(overrides: Sequence[str]) -> None:
    """Refuses what would change the questions of all experiments, each of which has a grid and a recipe of its own."""
    for text, override in zip(overrides, parse(overrides), strict=True):
        key = override.key_or_group
        is_a_list = override.is_sweep_override() and key != "seed"
        if is_hydra(override) or (
            key in ("experiment", "seed", *COMMAND_KEYS, *hardware_keys()) and not is_a_list
        ):
            continue
        raise ValueError(
            f"experiment={ALL_EXPERIMENTS} takes every experiment as it is, so {text} cannot be given: only scale, "
            "seeds, places and hardware can, one value each but of seed; name one experiment"
        )
