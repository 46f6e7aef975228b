"""How a scale of ours differs from the paper's recipe, in words, from the science of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gnexp.config import RunConfig, science
from gnexp.config.data import DataConfig
from gnexp.config.fields import walk
from gnexp.config.sites import SITES
from gnexp.report.exhibits.words import join

_GROUPS = ("norm.num_groups", *(f"model.{site}.num_groups" for site in SITES))


def list_differences(ours: RunConfig, paper: RunConfig) -> list[str]:
    """Every difference in science between two runs that ask the same cell, one sentence each."""
    found: list[str] = []
    told: set[str] = set()
    # Every difference that no sentence tells is listed by its key, so that none is forgotten.
    for title, sentence, describe in (
        ("Model", "model", _describe_model),
        ("Data", "data", _describe_data),
        ("Augmentation", "augmentation", _augmentation),
        ("Learning rate", "schedule", lambda run: run.recipe.describe_schedule()),
        ("Optimizer", "optimizer", lambda run: run.recipe.describe_optimizer()),
    ):
        a, b = describe(ours), describe(paper)
        if a != b:
            found.append(f"{title}: {a}; paper scale: {b}.")
            told |= _told_by(sentence, ours, paper)
    own, papers = _flat(science(ours)), _flat(science(paper))
    groups = {
        key: (own[key], papers[key])
        for key in _GROUPS
        if key in own and key in papers and own[key] != papers[key]
    }
    for pair in dict.fromkeys(groups.values()):
        found.append(f"Groups of GN: {pair[0]}; paper scale: {pair[1]}.")
    titles = {key: f.metadata.get("title", "") for run in (ours, paper) for key, f, _ in walk(run)}
    return found + _list_other(own, papers, told | groups.keys(), titles)


def describe_regime(runs: Sequence[RunConfig]) -> str:
    """Data and models of some runs, short: fashion_scenes, thin_resnet."""
    data = dict.fromkeys(run.data.name for run in runs)
    models = dict.fromkeys(run.model.label for run in runs)
    return f"{join(list(data))}, {join(list(models))}"


def say_changed(runs: Sequence[RunConfig]) -> str:
    """What was done to the images of some runs' data, a sentence a kind; empty for images left as they are."""
    sets: dict[type[DataConfig], list[DataConfig]] = {}
    for run in runs:
        sets.setdefault(type(run.data), []).append(run.data)
    return " ".join(filter(None, (cls.say_changed(of_kind) for cls, of_kind in sets.items())))


def _list_other(
    ours: dict[str, Any], paper: dict[str, Any], told: set[str], titles: dict[str, str]
) -> list[str]:
    found = []
    # Cells are compared at the same norm. Seeds are no part of a recipe; what a run starts from follows from the rest.
    for key in sorted(ours.keys() | paper.keys()):
        a, b = ours.get(key), paper.get(key)
        if a != b and key not in told and key not in ("seed", "init"):
            words = titles.get(key) or key
            found.append(f"{words[0].upper()}{words[1:]}: {_say(key, a)}; paper scale: {_say(key, b)}.")
    return found


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = _flat(value) if isinstance(value, dict) else None
        flat |= {name: value} if nested is None else {f"{name}.{key}": v for key, v in nested.items()}
    return flat


def _told_by(sentence: str, *runs: RunConfig) -> set[str]:
    """The keys that a sentence tells; a kind says itself what it is."""
    found = {key for run in runs for key, f, _ in walk(run) if f.metadata.get("told_by") == sentence}
    return found | ({f"{sentence}.kind"} if sentence in ("model", "data") else set())


def _describe_model(run: RunConfig) -> str:
    return f"{run.model.label} ({run.model.describe()})"


def _describe_data(run: RunConfig) -> str:
    return f"{run.data.name} ({', '.join(run.data.describe())})"


def _augmentation(run: RunConfig) -> str:
    return ", ".join(run.data.describe_augmentation()) or "none"


def _say(key: str, value: object) -> str:
    if value is None:
        return "all" if key == "recipe.precise_images" else "none"
    return str(value)
