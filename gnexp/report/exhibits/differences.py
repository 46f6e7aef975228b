"""How a scale of ours differs from the paper's recipe, in words, from the science of both."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from gnexp.config import RunConfig, science
from gnexp.config.fields import value_of, walk
from gnexp.config.sites import SITES
from gnexp.report.exhibits.words import join

_GROUPS = ("norm.num_groups", *(f"model.{site}.num_groups" for site in SITES))
_PARTS = ("gain", "background", "inversion")  # of an exposure


def list_differences(ours: RunConfig, paper: RunConfig) -> list[str]:
    """Every difference in science between two runs that ask the same cell, one sentence each."""
    found: list[str] = []
    told: set[str] = set()
    # Every difference that no sentence tells is listed by its key, so that none is forgotten.
    for title, sentence, describe in (
        ("Model", "model", _describe_model),
        ("Data", "data", _describe_data),
        ("Augmentation", "augmentation", _augmentation),
        ("Learning rate", "schedule", _schedule),
        ("Optimizer", "optimizer", _optimizer),
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


def say_exposure(runs: Sequence[RunConfig]) -> str:
    """What was done to the images of some runs' generated data, in a sentence; empty for images left as they are."""
    found = {_spreads(run) for run in runs} - {(0.0, 0.0, 0.0)}
    if not found:
        return ""
    one = "video" if all(value_of(run.data, "clip_length") for run in runs if any(_spreads(run))) else "image"
    if len(found) > 1 and any(len(set(spreads)) > 1 for spreads in found):
        return (
            f"Each {one} has a gain or a background of its own or is, with probability 0.5 times its inversion, turned "
            "into its photographic negative, or several of these."
        )
    if len(found) > 1:
        return f"Each {one} {_own_exposure('0.5 times its exposure', (1.0, 1.0, 1.0))}."
    (spreads,) = found
    return f"Each {one} {_own_exposure(f'{0.5 * spreads[2]:g}', spreads)}."


def _spreads(run: RunConfig) -> tuple[float, ...]:
    """Of gain, background and inversion; of images left as they are 0."""
    exposure = value_of(run.data, "exposure") or 0.0
    own = (value_of(run.data, name) for name in _PARTS)
    return tuple(exposure if spread is None else spread for spread in own)


def _own_exposure(chance: str, spreads: Sequence[float]) -> str:
    own = [f"a {name}" for name, spread in zip(_PARTS, spreads[:2], strict=False) if spread]
    words = [f"has {join(own)} of its own"] if own else []
    words += [f"is, with probability {chance}, turned into its photographic negative"] if spreads[2] else []
    return " and ".join(words)


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
    data, get = run.data, functools.partial(value_of, run.data)
    words = [f"{data.image_size} px", f"{data.channels} channel{'' if data.channels == 1 else 's'}"]
    words.append(f"{data.num_classes} classes")
    if data.num_train is not None:
        words.append(f"{data.num_train} training images")
    if data.num_val is not None:
        words.append(f"{data.num_val} validation images")
    spreads = _spreads(run)
    if len(set(spreads)) > 1:
        own = (f"{name} {spread:g}" for name, spread in zip(_PARTS, spreads, strict=True))
        words.append(f"each image with an exposure of its own, of the strengths {join(list(own))}")
    elif exposure := spreads[0]:
        strength = "" if exposure == 1 else f" of strength {exposure:g}"
        words.append(
            f"each image with an exposure{strength} of its own: gain, background, and with probability "
            f"{0.5 * exposure:g} its photographic negative"
        )
    if get("clutter"):
        words.append(f"{get('clutter')} bits of clutter")
    if get("clip_length") is not None:
        words.append(f"{get('clip_length')} of {get('clip_span')} frames a clip")
        words.append(f"tested on {get('num_clips')} clips, {get('test_crop')} crop")
    if get("min_size") not in (None, get("max_size")):
        words.append(f"shorter side {get('min_size')}, longer side at most {get('max_size')}")
    return f"{data.name} ({', '.join(words)})"


def _augmentation(run: RunConfig) -> str:
    data, get = run.data, functools.partial(value_of, run.data)
    words = []
    if get("crop_area") is not None:
        words.append("random-resized crop")
    if get("train_resize") is not None:
        words.append(f"shorter side {'-'.join(map(str, get('train_resize')))} and a random crop")
    if get("shift"):
        words.append(f"shift by up to {get('shift')} px")
    if get("jitter"):
        words.append("colour jitter")
    if get("lighting"):
        words.append("PCA lighting")
    if data.flip:
        words.append("horizontal flip")
    return ", ".join(words) or "none"


def _schedule(run: RunConfig) -> str:
    recipe = run.recipe
    if recipe.schedule == "linear":
        return "decayed linearly to 0"
    if recipe.schedule == "cosine":
        return "decayed to 0 along half a cosine"
    return f"multiplied by {recipe.drop_factor} after epochs {', '.join(str(e) for e in recipe.milestones or ())}"


def _optimizer(run: RunConfig) -> str:
    recipe = run.recipe
    if recipe.momentum is None:
        return f"AdamW with betas {recipe.beta1} and {recipe.beta2}, eps {recipe.eps}"
    kind = "Nesterov momentum" if recipe.nesterov else "momentum"
    return f"SGD with {kind} {recipe.momentum}" if recipe.momentum else "SGD without momentum"


def _say(key: str, value: object) -> str:
    if value is None:
        return "all" if key == "recipe.precise_images" else "none"
    return str(value)
