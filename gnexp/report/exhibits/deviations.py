"""How the small scale differs from the paper's recipe, in words made from the science of both."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from gnexp.config import RunConfig, science
from gnexp.config.detector import DETECTOR, DetectorFields
from gnexp.config.places import PLACES
from gnexp.config.video import VIDEO, VideoFields
from gnexp.report.exhibits.words import join

# Fields that a sentence of list_deviations tells, or that follow from what it tells. Every other difference is listed
# by its key, so that none is forgotten.
_DETECTOR = {f.name for f in dataclasses.fields(DetectorFields) if f.metadata["part"] == "science"} - {
    *PLACES
}
_VIDEO = [f.name for f in dataclasses.fields(VideoFields)]
_MODEL = {"kind", "block", "blocks", "widths", "stem", "stem_stride"} | {
    *("classifier_pool", "classifier_widths", "dropout", *_DETECTOR, *_VIDEO)
}
_DATA = {"name", "kind", "image_size", "channels", "num_classes", "num_train", "num_val", "val_source"} | {
    *("mean", "std", "sha256", "exposure", "clutter", "eval_resize", "min_size", "max_size"),
    *("clip_length", "clip_span", "num_clips", "test_crop"),
}
_AUGMENTATION = {"flip", "shift", "crop_area", "crop_aspect", "jitter", "lighting", "train_resize"}
_GROUPS = ("norm.num_groups", *(f"model.{place}.num_groups" for place in PLACES))
_SCHEDULE = {"schedule", "milestones", "drop_factor"}
_WORDS = {
    "recipe.epochs": "epochs",
    "recipe.base_lr": "base learning rate",
    "recipe.base_total_batch": "total batch of the base learning rate",
    "recipe.report_epochs": "last epochs whose median is reported",
    "recipe.precise_images": "training images behind precise statistics",
    "recipe.warmup_epochs": "warm-up epochs",
    "recipe.warmup_steps": "warm-up steps",
    "recipe.warmup_factor": "learning rate at which the warm-up starts, as a share",
    "recipe.epoch_steps": "steps of an epoch",
    "recipe.eval_every": "epochs from one evaluation to the next",
    "recipe.bias_lr_factor": "learning rate of biases, as a multiple",
    "recipe.bias_weight_decay": "weight decay of biases",
    "workers": "workers",
    "recipe.momentum": "momentum",
    "recipe.nesterov": "Nesterov momentum",
    "recipe.weight_decay": "weight decay",
    "recipe.norm_weight_decay": "weight decay of gamma and beta",
}


def list_deviations(ours: RunConfig, paper: RunConfig) -> list[str]:
    """Every difference in science between two runs that ask the same cell, one sentence each."""
    found: list[str] = []
    told: set[str] = set()
    for title, part, describe, fields in (
        ("Model", "model", _describe_model, _MODEL),
        ("Data", "data", _describe_data, _DATA),
        ("Augmentation", "data", _augmentation, _AUGMENTATION),
        ("Learning rate", "recipe", _schedule, _SCHEDULE),
    ):
        a, b = describe(ours), describe(paper)
        if a != b:
            found.append(f"{title}: {a}; paper scale: {b}.")
            told |= {f"{part}.{field}" for field in fields}
    own, papers = _flat(science(ours)), _flat(science(paper))
    groups = {
        key: (own[key], papers[key])
        for key in _GROUPS
        if key in own and key in papers and own[key] != papers[key]
    }
    for pair in dict.fromkeys(groups.values()):
        found.append(f"Groups of GN: {pair[0]}; paper scale: {pair[1]}.")
    return found + _list_other(own, papers, told | groups.keys())


def describe_regime(runs: Sequence[RunConfig]) -> str:
    """Data and models of some runs, short: fashion_scenes, thin_resnet."""
    data = dict.fromkeys(run.data.name for run in runs)
    models = dict.fromkeys(run.model.name for run in runs)
    return f"{join(list(data))}, {join(list(models))}"


def say_exposure(runs: Sequence[RunConfig]) -> str:
    """What was done to the images of some runs' generated data, in a sentence; empty for images left as they are."""
    runs = [run for run in runs if run.data.exposure]
    if not runs:
        return ""
    strengths = {run.data.exposure for run in runs}
    one = "video" if all(run.data.clip_length for run in runs) else "image"
    chance = f"{0.5 * (runs[0].data.exposure or 0):g}" if len(strengths) == 1 else "0.5 times its exposure"
    return (
        f"Each {one} has a gain and a background of its own and is, with probability {chance}, turned into its "
        "photographic negative."
    )


def _list_other(ours: dict[str, Any], paper: dict[str, Any], told: set[str]) -> list[str]:
    found = []
    # Cells are compared at the same norm. Seeds are no part of a recipe; what a run starts from follows from the rest.
    for key in sorted(ours.keys() | paper.keys()):
        a, b = ours.get(key), paper.get(key)
        if a != b and key not in told and key not in ("seed", "init"):
            words = _WORDS.get(key, key)
            found.append(f"{words[0].upper()}{words[1:]}: {_say(key, a)}; paper scale: {_say(key, b)}.")
    return found


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = _flat(value) if isinstance(value, dict) else None
        flat |= {name: value} if nested is None else {f"{name}.{key}": v for key, v in nested.items()}
    return flat


def _describe_model(run: RunConfig) -> str:
    model = run.model
    blocks = "-".join(str(number) for number in model.blocks)
    widths = "-".join(str(number) for number in model.widths)
    if model.kind == "vgg":
        hidden = "-".join(str(number) for number in model.classifier_widths or ())
        return (
            f"{model.name} (convolutions {blocks}, widths {widths}, classifier {hidden} on "
            f"{model.classifier_pool} x {model.classifier_pool} px with dropout {model.dropout})"
        )
    network = (
        f"{model.block} blocks {blocks}, widths {widths}, {model.stem.replace('_', ' + ')} stem of stride "
        f"{model.stem_stride}"
    )
    if model.kind == DETECTOR:
        own = {name: getattr(model, name) for name in sorted(_DETECTOR)}
        network += "; " + ", ".join(
            f"{name} {_listed(value)}" for name, value in own.items() if value is not None
        )
    if model.kind == VIDEO:
        own = {name: getattr(model, name) for name in (*_VIDEO, "dropout")}
        network += "; " + ", ".join(f"{name} {_listed(value)}" for name, value in own.items())
    return f"{model.name} ({network})"


def _listed(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _describe_data(run: RunConfig) -> str:
    data = run.data
    words = [f"{data.image_size} px", f"{data.channels} channel{'' if data.channels == 1 else 's'}"]
    words.append(f"{data.num_classes} classes")
    if data.num_train is not None:
        words.append(f"{data.num_train} training images")
    if data.num_val is not None:
        words.append(f"{data.num_val} validation images")
    if data.exposure:
        strength = "" if data.exposure == 1 else f" of strength {data.exposure:g}"
        words.append(
            f"each image with an exposure{strength} of its own: gain, background, and with probability "
            f"{0.5 * data.exposure:g} its photographic negative"
        )
    if data.clutter:
        words.append(f"{data.clutter} pieces of clutter")
    if data.clip_length is not None:
        words.append(f"{data.clip_length} of {data.clip_span} frames a clip")
        words.append(f"tested on {data.num_clips} clips, {data.test_crop} crop")
    if data.min_size not in (None, data.max_size):
        words.append(f"shorter side {data.min_size}, longer side at most {data.max_size}")
    return f"{data.name} ({', '.join(words)})"


def _augmentation(run: RunConfig) -> str:
    data = run.data
    words = []
    if data.crop_area is not None:
        words.append("random-resized crop")
    if data.train_resize is not None:
        words.append(f"shorter side {'-'.join(map(str, data.train_resize))} and a random crop")
    if data.shift:
        words.append(f"shift by up to {data.shift} px")
    if data.jitter:
        words.append("colour jitter")
    if data.lighting:
        words.append("PCA lighting")
    if data.flip:
        words.append("horizontal flip")
    return ", ".join(words) or "none"


def _schedule(run: RunConfig) -> str:
    recipe = run.recipe
    if recipe.schedule == "linear":
        return "decayed linearly to 0"
    return f"multiplied by {recipe.drop_factor} after epochs {', '.join(str(e) for e in recipe.milestones or ())}"


def _say(key: str, value: object) -> str:
    if value is None:
        return "all" if key == "recipe.precise_images" else "none"
    return str(value)
