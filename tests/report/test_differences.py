"""The list of differences forgets nothing."""

import contextlib
import dataclasses
from typing import Any

import numpy as np
import pytest

from gnexp.compose import composer as compose
from gnexp.config import RecipeConfig, RunConfig, data_config, model_config
from gnexp.config.fields import walk
from gnexp.data.generated.scenes import expose
from gnexp.report.exhibits.differences import list_differences, say_changed

RUN = RunConfig(recipe=RecipeConfig(schedule="step", milestones=(3,), drop_factor=0.1))
PHOTOGRAPHS = data_config(
    kind="imagefolder",
    channels=3,
    mean=(0.5,) * 3,
    std=(0.2,) * 3,
    crop_area=(0.2, 1.0),
    crop_aspect=(0.7, 1.4),
    eval_resize=40,
)
CLIPS = data_config(
    kind="fashion_clips",
    num_classes=8,
    train_resize=(32, 32),
    eval_resize=32,
    clip_length=16,
    clip_span=32,
    num_clips=2,
    test_crop="full",
)
RUNS = {
    "scenes": RUN,
    "photographs": dataclasses.replace(RUN, data=PHOTOGRAPHS),
    "clips": dataclasses.replace(RUN, data=CLIPS),
    "adamw": dataclasses.replace(RUN, recipe=RecipeConfig(epochs=8, schedule="cosine", optimizer="adamw")),
    "timms": dataclasses.replace(RUN, model=model_config(kind="timm", arch="resnet18")),
    "boxes": dataclasses.replace(RUN, data=data_config(kind="fashion_coco", min_size=7, max_size=9)),
}
# A second value for every field of science of these; a new field fails the test below until it has one.
OTHER: dict[str, dict[str, Any]] = {
    "norm": {"num_groups": 4, "eps": 1e-3},
    "model": {
        "block": "bottleneck", "blocks": (2, 1, 1, 1), "widths": (8, 8, 8, 8), "stem": "conv7x7_pool",
        "stem_stride": 1, "zero_init_last": False, "init_mode": "fan_in", "classifier_std": 0.1, "arch": "resnet34",
    },
    "data": {
        "name": "x", "image_size": 30, "num_classes": 5, "num_train": 9, "num_val": 9,
        "val_source": "train", "mean": (0.1,), "std": (0.1,), "flip": False, "shift": 2, "exposure": 0.5, "clutter": 3,
        "gain": 0.5, "background": 0.5, "inversion": 0.5,
        "crop_area": (0.1, 1.0), "crop_aspect": (0.5, 2.0), "jitter": 0.4, "lighting": 0.1, "eval_resize": 256,
        "decoder": "scaled", "on_error": "skip", "sha256": "00", "min_size": 8, "max_size": 8,
        "train_resize": (40, 48), "clip_span": 64, "num_clips": 10, "test_crop": "three", "clip_length": 8,
        "masks": False, "motions": "undirected",
    },
    "recipe": {
        "version": 2, "epochs": 9, "base_lr": 0.2, "base_total_batch": 64, "milestones": (4,), "drop_factor": 0.2,
        "warmup_epochs": 1, "momentum": 0.8, "nesterov": False, "weight_decay": 0.1, "norm_weight_decay": 0.0,
        "report_epochs": 2, "precise_images": 10, "epoch_steps": 5, "eval_every": 2, "bias_lr_factor": 2.0,
        "bias_weight_decay": 0.0, "beta1": 0.8, "beta2": 0.99, "eps": 1e-6,
    },
}  # fmt: skip
# Cannot change alone: they come with a kind, with the number of channels, with the other kind of schedule or optimizer;
# points are a curve's where not every epoch is evaluated.
EXCUSED = {
    *("norm.kind", "norm.channels_per_group", "model.kind", "data.kind", "data.channels"),
    *("recipe.optimizer", "recipe.schedule", "recipe.warmup_steps", "recipe.warmup_factor"),
    "recipe.eval_points",
}


@pytest.mark.parametrize(("part", "field"), [(part, field) for part in OTHER for field in OTHER[part]])
def test_any_one_difference_is_told_once(part: str, field: str) -> None:
    told = 0
    for run in RUNS.values():
        with contextlib.suppress(TypeError, ValueError):  # another kind's, or one that cannot change there
            changed = dataclasses.replace(getattr(run, part), **{field: OTHER[part][field]})
            if changed == getattr(run, part):
                continue
            (sentence,) = list_differences(dataclasses.replace(run, **{part: changed}), run)
            assert sentence[0].isupper() and "; paper scale: " in sentence
            told += 1
    assert told


def test_every_field_of_science_is_tried_above() -> None:
    fields = {
        key
        for run in RUNS.values()
        for key, f, _ in walk(run)
        if f.metadata["part"] == "science" and "." in key and not key.startswith("task.")
    }
    assert fields - EXCUSED == {f"{part}.{field}" for part in OTHER for field in OTHER[part]}


def test_equal_runs_have_none_and_workers_are_told() -> None:
    assert list_differences(RUN, dataclasses.replace(RUN, seed=5)) == []
    assert list_differences(dataclasses.replace(RUN, workers=4), RUN) == ["Workers: 4; paper scale: 8."]


def test_another_optimizer_and_its_schedule_are_a_sentence_each() -> None:
    assert list_differences(RUNS["adamw"], RUN)[:2] == [
        "Learning rate: decayed to 0 along half a cosine; paper scale: multiplied by 0.1 after epochs 3.",
        "Optimizer: AdamW with betas 0.9 and 0.999, eps 1e-08; paper scale: SGD with Nesterov momentum 0.9.",
    ]


def test_what_follows_from_other_data_is_not_told_twice() -> None:
    other = dataclasses.replace(
        RUN.data, name="x", mean=(0.1,), std=(0.1,), val_source="train", image_size=64
    )
    assert len(list_differences(dataclasses.replace(RUN, data=other), RUN)) == 1


def test_a_vgg_is_told_by_its_own_fields() -> None:
    vgg = model_config(kind="vgg", classifier_pool=1, classifier_widths=(64,), dropout=0.5)
    ours = dataclasses.replace(RUN, model=vgg)
    model = dataclasses.replace(ours.model, name="vgg16", classifier_pool=7, classifier_widths=(4096, 4096))
    (sentence,) = list_differences(ours, dataclasses.replace(ours, model=model))
    assert "classifier 64 on 1 x 1 px" in sentence and "classifier 4096-4096 on 7 x 7 px" in sentence
    assert "stem" not in sentence


def test_a_detector_is_told_in_one_sentence() -> None:
    ours, paper = (compose.expand("coco_fpn", scale).cells[0].runs[0] for scale in ("small", "paper"))
    sentences = list_differences(ours, paper)
    (model,) = [sentence for sentence in sentences if sentence.startswith("Model: ")]
    assert "thin_mask_rcnn (basic blocks" in model and "rois 32" in model and "rois 512" in model
    assert not [sentence for sentence in sentences if "Model." in sentence]


@pytest.mark.parametrize("exposure", [0.5, 1.0])
def test_what_was_done_to_the_images_is_told_as_it_was_done(exposure: float) -> None:
    """A miniature of generated images says so: the probability in the words is that of the code."""
    draws = np.stack([np.full(1000, 0.5), np.full(1000, 0.5), (np.arange(1000) + 0.5) / 1000], axis=1)
    blank, lit = np.zeros((1000, 1, 1)), np.ones((1000, 1, 1))
    inverted = expose(blank, draws, *[exposure] * 3) > expose(
        lit, draws, *[exposure] * 3
    )  # the garment darker than the ground
    run = dataclasses.replace(RUN, data=dataclasses.replace(RUN.data, exposure=exposure))
    words = f"with probability {inverted.mean():g}, turned into its photographic negative"
    assert words in say_changed([run])
    clips = dataclasses.replace(run, data=dataclasses.replace(CLIPS, exposure=exposure))
    assert say_changed([clips]).startswith("Each video has")
    told = list_differences(run, dataclasses.replace(run, data=dataclasses.replace(run.data, exposure=0.0)))
    assert f"and with probability {inverted.mean():g} its photographic negative" in " ".join(told)


def test_images_as_they_are_have_nothing_to_tell() -> None:
    plain = dataclasses.replace(RUN, data=dataclasses.replace(RUN.data, exposure=0.0))
    assert say_changed([plain]) == ""
