"""The schema's checks, and what run_id depends on."""

import dataclasses
import json

import pytest

from gnexp.config import (
    RecipeConfig,
    RunConfig,
    TaskConfig,
    data_config,
    from_dict,
    model_config,
    norm_config,
    science,
    to_dict,
)
from gnexp.config.fields import value_of, walk
from gnexp.config.kinds import classes_of


def fields_of(config):
    for key, f, value in walk(config):
        yield key, f.metadata["part"], value


def changed(run, key, value):
    if "." in key:
        part, name = key.split(".")
        return dataclasses.replace(run, **{part: dataclasses.replace(getattr(run, part), **{name: value})})
    return dataclasses.replace(run, **{key: value})


# A valid other value where the generic one (see `other`) would be refused.
OTHERS = {
    "task.kind": "detection",
    "norm.kind": None,
    "model.kind": None,
    "data.kind": None,
    "norm.num_groups": 4,
    "norm.channels_per_group": None,
    "norm.impl": "fused",
    "model.block": "bottleneck",
    "model.blocks": (2, 1, 1, 1),
    "model.widths": (8, 32, 64, 128),
    "model.stem": "conv7x7_pool",
    "model.init_mode": "fan_in",
    "data.channels": None,
    "data.num_classes": None,
    "data.mean": (0.4,),
    "data.std": (0.5,),
    "data.val_source": "train",
    "data.exposure": 0.5,
    "data.gain": 0.5,
    "data.background": 0.5,
    "data.inversion": 0.5,
    "data.sha256": "00",
    "recipe.optimizer": None,
    "recipe.beta1": None,
    "recipe.beta2": None,
    "recipe.eps": None,
    "recipe.schedule": None,
    "recipe.milestones": None,
    "recipe.drop_factor": None,
    "recipe.report_epochs": 2,
    "recipe.eval_every": 2,
    "recipe.eval_points": None,  # test_points_of_a_curve_of_scores
    "recipe.bias_lr_factor": 2.0,
    "recipe.warmup_steps": None,
    "recipe.warmup_factor": None,
    "device": "cpu",
    "precision": "bf16",
    "init": "0123456789ab",
    "init_layout": None,  # tests/engine/test_published_weights.py
    "init_path": "w.pt",
    "memory_format": "channels_last",
    "processes": 2,
}


def other(key, value):
    if key in OTHERS:
        return OTHERS[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, float):
        return value / 2
    return 1 if value is None else value + 1


# A None in OTHERS: the field cannot change alone; see test_linked_fields_change_run_id.
ALONE = [key for key, _, _ in fields_of(RunConfig()) if OTHERS.get(key, "") is not None]


@pytest.mark.parametrize("key", ALONE)
def test_run_id_depends_on_science_and_on_nothing_else(key):
    run = RunConfig()
    part, value = next((p, v) for k, p, v in fields_of(run) if k == key)
    moved = changed(run, key, other(key, value))
    assert (moved.run_id != run.run_id) == (part == "science")


def brn(**changes):
    values = {"momentum": 0.1, "r_max": 1.5, "d_max": 0.5, "renorm_ramp": (0.125, 0.625, 1.0)}
    return norm_config(kind="brn", **{**values, **changes})


def vgg(**changes):
    values = {"classifier_pool": 1, "classifier_widths": (64,), "dropout": 0.5}
    return model_config(kind="vgg", **{**values, **changes})


def detector(**changes):
    values = {
        "neck": "fpn",
        "freeze_at": 0,
        "fpn_stages": 3,
        "fpn_width": 32,
        "anchor_sizes": (16, 28, 44, 64),
        "rpn_anchors": 64,
        "rpn_pre_nms": (200, 100),
        "rpn_post_nms": (100, 50),
        "rois": 32,
        "roi_size": 12,
        "roi_samples": 1,
        "box_head": "4conv1fc",
        "head_width": 32,
        "fc_width": 128,
        "box_beta": 1.0,
        "detections": 20,
    }
    return model_config(kind="mask_rcnn", **{**values, **changes})


def i3d(**changes):
    values = {
        "stem_frames": 5,
        "temporal_strides": (2, 1, 2),
        "temporal_kernels": (3, 1, 3, 1),
        "dropout": 0.5,
    }
    return model_config(kind="i3d", **{**values, **changes})


RGB = {"mean": (0.5,) * 3, "std": (0.25,) * 3}


def clips(**changes):
    values = {
        "num_classes": 8,
        "train_resize": (32, 32),
        "eval_resize": 32,
        "num_clips": 2,
        "test_crop": "full",
    }
    return data_config(kind="fashion_clips", **{**values, "clip_length": 16, "clip_span": 32, **changes})


def own_fields(kind):
    """The science that a network made of a ResNet has beside one."""
    kinds = classes_of("model")
    resnets = {f.name for f in dataclasses.fields(kinds["resnet"])}
    own = dataclasses.fields(kinds[kind])
    return {f.name for f in own if f.metadata["part"] == "science"} - resnets


def test_linked_fields_change_run_id():
    ids = {
        RunConfig(norm=norm).run_id
        for norm in (
            norm_config(kind="gn"),
            norm_config(kind="gn", channels_per_group=2),
            norm_config(kind="bn", momentum=0.1),
            norm_config(kind="bn", momentum=0.2),
            brn(),
            brn(r_max=2.0),
            brn(d_max=1.0),
            brn(renorm_ramp=(0.0, 0.5, 1.0)),
        )
    }
    recipes = [
        RecipeConfig(schedule="linear"),
        RecipeConfig(schedule="step", milestones=(4,), drop_factor=0.1),
        RecipeConfig(schedule="step", milestones=(5,), drop_factor=0.1),
        RecipeConfig(schedule="step", milestones=(4,), drop_factor=0.2),
    ]
    ids |= {RunConfig(recipe=recipe).run_id for recipe in recipes}
    models = [vgg(), vgg(classifier_pool=2), vgg(classifier_widths=(32,)), vgg(dropout=0.0)]
    changes = {
        "fpn_norm": "gn",
        "box_norm": "gn",
        "mask_norm": "gn",
        "freeze_at": 2,
        "fpn_width": 64,
        "rpn_anchors": 32,
        "anchor_sizes": (16, 28, 44, 60),
        "rpn_pre_nms": (100, 100),
        "rpn_post_nms": (100, 100),
        "rois": 16,
        "roi_size": 14,
        "roi_samples": 2,
        "box_head": "2fc",
        "head_width": 64,
        "fc_width": 64,
        "box_beta": 0.5,
        "detections": 10,
    }
    models += [detector(), *(detector(**{key: value}) for key, value in changes.items())]
    models.append(detector(fpn_stages=2, anchor_sizes=(16, 28, 44)))
    no_fpn = dict.fromkeys(("fpn_stages", "fpn_width", "box_head", "fc_width"))
    models.append(detector(neck="c4", **no_fpn))
    assert {"neck", "fpn_stages", *changes} == own_fields("mask_rcnn")
    changes = {"stem_frames": 3, "temporal_strides": (1, 1, 2), "temporal_kernels": (3,) * 4, "dropout": 0.0}
    assert own_fields("i3d") == set(changes)
    models += [i3d(), *(i3d(**{key: value}) for key, value in changes.items())]
    ids |= {RunConfig(model=model).run_id for model in models}
    ids |= {RunConfig(data=clips(clip_length=length)).run_id for length in (16, 32)}
    ids |= {RunConfig(data=data_config(kind=kind, root="data", **RGB)).run_id for kind in ("cifar10",)}
    assert len(ids) == 16 + 20 + 7  # RunConfig(gn) is in both lists


def test_a_detectors_norm_spelled_none_is_no_norm():
    assert detector(box_norm="none").box_norm is None
    assert RunConfig(model=detector(fpn_norm="none")).run_id == RunConfig(model=detector()).run_id


SITES = ("fpn_norm", "box_norm", "mask_norm")


def sites(model, norm):
    """The norms of a detector's sites."""
    run = RunConfig(norm=norm, model=detector(**model))
    return [getattr(run.model, name) for name in SITES]


@pytest.mark.parametrize(
    ("norm", "word"),
    [
        (norm_config(kind="gn"), "gn"),
        (norm_config(kind="gn", num_groups=1, eps=1e-3, impl="composed"), "ln"),
        (norm_config(kind="bn", momentum=0.2), "bn"),
        (norm_config(kind="frozen_bn"), None),
        (norm_config(kind="none"), None),
    ],
)
def test_a_detectors_places_take_the_backbones_norm(norm, word):
    same = dict.fromkeys(SITES, "same")
    run = RunConfig(norm=norm, model=detector(**same))
    assert sites(same, norm) == [None if word is None else run.norm] * 3
    spelled = RunConfig(norm=norm, model=detector(**dict.fromkeys(same, word)))
    assert run.run_id == spelled.run_id and run == spelled
    assert sites({**same, "box_head": "2fc"}, norm)[1] is None
    assert from_dict(json.loads(json.dumps(to_dict(run)))) == run


@pytest.mark.parametrize("norm", [norm_config(num_groups=4), norm_config(channels_per_group=1), brn()])
def test_a_place_that_is_the_same_has_the_backbones_groups_and_constants(norm):
    assert sites(dict.fromkeys(SITES, "same"), norm) == [norm] * 3


@pytest.mark.parametrize("head", [{"box_head": "2fc"}, None])
def test_without_a_mask_head_no_convolution_has_the_heads_width(head):
    fpn_alone = dict.fromkeys(("fpn_stages", "fpn_width", "box_head", "fc_width"))
    boxes = {"data": data_config(kind="fashion_coco", min_size=32, max_size=32, masks=False)}
    runs = {
        RunConfig(model=detector(head_width=width, **(head or {"neck": "c4", **fpn_alone})), **boxes).run_id
        for width in (32, 64)
    }
    assert len(runs) == 1
    ids = {RunConfig(model=detector(head_width=width), **boxes).run_id for width in (32, 64)}
    assert len(ids) == 2  # a box head of convolutions has it


FOLDER = {"kind": "imagefolder", "crop_area": (0.1, 1.0), "crop_aspect": (0.7, 1.4), "eval_resize": 40, **RGB}
SCENES = {"kind": "fashion_scenes"}


@pytest.mark.parametrize(
    ("values", "field", "spelled"),
    [
        (FOLDER, "jitter", 0.0),
        (FOLDER, "lighting", 0.0),
        (SCENES, "val_source", "test"),
        (SCENES, "exposure", 0.0),
        (SCENES, "clutter", 0),
        ({"kind": "fashion"} | {"image_size": 28}, "val_source", "test"),
    ],
)
def test_nothing_and_its_spelling_are_one_run(values, field, spelled):
    """One meaning had two ids."""
    left_out, given = (RunConfig(data=data_config(**values, **more)) for more in ({}, {field: spelled}))
    assert left_out.run_id == given.run_id and left_out == given


def test_an_optimizer_spelled_out_is_the_same_run():
    assert RecipeConfig(optimizer="sgd", momentum=0.9, nesterov=True) == RecipeConfig()
    adamw = RecipeConfig(optimizer="adamw")
    assert RecipeConfig(optimizer="adamw", beta1=0.9, beta2=0.999, eps=1e-8) == adamw
    assert {"beta1", "beta2", "eps"} <= science(adamw).keys()
    assert not {"momentum", "nesterov"} & science(adamw).keys()


def test_the_parts_of_an_exposure_have_one_spelling_a_meaning():
    """Three spreads that a YAML or a person may spell in many ways."""

    def scenes(**values):
        return RunConfig(data=data_config(**SCENES, **values))

    full, gain = scenes(exposure=1.0), scenes(gain=1.0)
    assert scenes(gain=1.0, background=1.0, inversion=1.0).run_id == full.run_id
    assert scenes(exposure=1.0, inversion=1.0).run_id == full.run_id
    assert "gain" not in science(full)["data"]
    assert scenes(exposure=1.0, background=0.0, inversion=0.0).run_id == gain.run_id != full.run_id
    assert gain.data.spreads == (1.0, 0.0, 0.0) and gain.data.exposure == 0.0
    apart = scenes(exposure=0.3, gain=1.0, background=0.5, inversion=0.0)
    assert apart.run_id == scenes(exposure=0.5, gain=1.0, inversion=0.0).run_id


def test_a_warm_up_that_warms_nothing_is_none():
    assert RecipeConfig(warmup_steps=5, warmup_factor=1.0) == RecipeConfig()


def test_a_place_named_by_a_word_is_hashed_as_the_norm_that_is_built():
    """Groups came from default_num_groups and constants from nowhere: two networks had one run_id, or one had two."""

    def run(norm=None, **changes):
        model = detector(fpn_norm="gn", box_norm="ln", mask_norm="bn", **changes)
        return RunConfig(norm=norm or norm_config(num_groups=8), model=model)

    plain = science(run())["model"]
    assert plain["fpn_norm"] == {"kind": "gn", "num_groups": 8, "eps": 1e-5}
    assert plain["box_norm"] == {"kind": "gn", "num_groups": 1, "eps": 1e-5}
    assert plain["mask_norm"] == {"kind": "bn", "eps": 1e-5, "momentum": 0.1}
    other = run(default_num_groups=4)
    assert other.run_id != run().run_id and other.model.fpn_norm.num_groups == 4
    wide = run(norm_config(kind="bn", momentum=0.3, eps=1e-3))
    assert [norm.eps for norm in wide.norms] == [1e-3] * 4 and wide.model.mask_norm.momentum == 0.3
    later = detector(fpn_norm="grms", box_norm="evonorm_s0", mask_norm="gn_ws")
    assert [norm.eps for norm in RunConfig(norm=norm_config(eps=1e-3), model=later).norms] == [1e-3] * 4
    composed = run(norm_config(num_groups=8, impl="composed"))
    assert [value_of(norm, "impl") for norm in composed.norms] == ["composed"] * 3 + [None]
    assert composed.run_id == run().run_id


def test_points_of_a_curve_of_scores():
    """Evenly over the epochs, the last of them the end; what they change nothing about is the same run without them."""

    def scored(kind, **values):
        recipe = RecipeConfig(epochs=9, **values)
        video = {"task": TaskConfig(kind="video"), "data": clips(), "model": i3d()}
        run = RunConfig(recipe=recipe, **(video if kind == "video" else {}))
        epochs = range(1, 10)
        return run, [[*filter(ask, epochs)] for ask in (run.recipe.is_evaluated, run.recipe.is_scored)]

    plain, (evaluated, thorough) = scored("video")
    assert evaluated == [*range(1, 10)] and thorough == [9]
    run, (evaluated, thorough) = scored("video", eval_points=5)
    assert evaluated == [*range(1, 10)] and thorough == [2, 4, 5, 7, 9] and run.run_id != plain.run_id
    run, (evaluated, thorough) = scored("video", eval_points=5, eval_every=9, report_epochs=2)
    assert evaluated == thorough == [2, 4, 5, 7, 8, 9]
    assert scored("video", eval_points=1)[0].run_id == plain.run_id

    plain, _ = scored("images")
    run, (evaluated, _) = scored("images", eval_points=5, eval_every=9)
    assert evaluated == [2, 4, 5, 7, 9] and run.recipe.eval_points == 5 and run.run_id != plain.run_id
    assert scored("images", eval_points=5)[0].run_id == plain.run_id  # each epoch is evaluated anyway
    assert scored("images", eval_points=9, eval_every=9)[0].run_id == plain.run_id
    thirds = scored("images", eval_points=3, eval_every=9)[0]
    assert thirds.recipe.eval_points is None and thirds.recipe.eval_every == 3
    with pytest.raises(ValueError, match="recipe.eval_points must be at most recipe.epochs=9, got 10"):
        scored("images", eval_points=10)


def test_a_detector_takes_one_worker_at_a_time():
    """Its losses are means over the RoIs of a pass: with two workers in it they were others, under the same run_id."""
    assert RunConfig(model=detector()).workers_per_pass == 1
    with pytest.raises(ValueError, match="a detector takes one worker at a time, .* got 2"):
        RunConfig(model=detector(), workers_per_pass=2)


def test_a_detector_takes_all_workers_where_none_can_tell():
    """Where every image is padded to one size and nothing is taken over a worker, the others' images change nothing."""

    def at_once(norm, size=96, **values):
        sides = {"image_size": size, "min_size": size, "max_size": size}
        data = data_config(kind="fashion_coco", name="fashion_coco", **sides)
        return RunConfig(norm=norm, model=detector(**values), data=data).workers_per_pass

    assert at_once(norm_config()) is None
    assert at_once(norm_config(kind="frozen_bn"), box_norm="gn") is None
    assert at_once(norm_config(kind="bn", momentum=0.1)) == 1
    assert at_once(norm_config(), box_norm="bn") == 1
    assert at_once(norm_config(), size=256) == 1  # of 256 and 213 pixels, which become 224


SYNC_BN = norm_config(kind="sync_bn", momentum=0.1)


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_a_norm_over_all_workers_has_them_all_in_one_pass(processes):
    """A detector's too, at whichever of its sites the norm is."""
    for norm, model in (
        (SYNC_BN, model_config()),
        (SYNC_BN, detector(mask_norm="same")),
        (norm_config(), detector(box_norm="sync_bn")),
    ):
        for at_once in (None, 8 // processes):
            run = RunConfig(norm=norm, model=model, processes=processes, workers_per_pass=at_once)
            assert run.workers_per_pass is None


def test_a_pass_that_would_split_its_workers_is_refused_with_the_reason():
    message = (
        "norm sync_bn takes its statistics over all workers of a step, so that no pass can hold some of them: leave "
        "workers_per_pass at null, which is the 4 workers of a process, got 2; if memory is short, raise processes"
    )
    for norm, model in ((SYNC_BN, model_config()), (norm_config(), detector(box_norm="sync_bn"))):
        with pytest.raises(ValueError, match=f"^{message}$"):
            RunConfig(norm=norm, model=model, processes=2, workers_per_pass=2)


def test_a_detector_has_no_batch_norm_of_a_worker_beside_one_of_all_workers():
    with pytest.raises(ValueError, match="where bn at another cannot tell the RoIs of several workers apart"):
        RunConfig(norm=norm_config(), model=detector(box_norm="sync_bn", mask_norm="bn"))


def test_gn_without_a_grouping_is_the_models_default_spelled_out():
    implicit = RunConfig(model=model_config(default_num_groups=4))
    assert implicit.norm.num_groups == 4
    assert implicit.run_id == RunConfig(norm=norm_config(num_groups=4)).run_id


def test_run_id_is_a_fixed_point_of_the_dict_round_trip():
    run = RunConfig(norm=norm_config(kind="bn", momentum=0.1), batch=2, seed=3, threads=2)
    again = from_dict(json.loads(json.dumps(to_dict(run))))
    assert again == run
    assert again.run_id == run.run_id
    assert len(run.run_id) == 12


def test_science_holds_no_none_and_no_hardware():
    def leaves(values):
        for value in values.values():
            yield from leaves(value) if isinstance(value, dict) else [value]

    found = science(RunConfig(threads=2, device="cpu"))
    assert None not in list(leaves(found))
    assert "threads" not in found and "device" not in found and "root" not in found["data"]


@pytest.mark.parametrize(
    ("norm", "label"),
    [
        (norm_config(kind="gn", num_groups=1), "ln"),
        (norm_config(kind="gn", channels_per_group=1), "in"),
        (norm_config(kind="gn", channels_per_group=16), "gnc16"),
        (norm_config(kind="gn"), "gn8"),
        (norm_config(kind="bn", momentum=0.1), "bn"),
        (norm_config(kind="none"), "none"),
    ],
)
def test_label(norm, label):
    assert RunConfig(norm=norm, batch=2, seed=1).label == f"fashion_scenes-thin_resnet-{label}-batch2-seed1"


def test_lr_is_the_papers_rule_at_8_workers():
    for batch in (32, 16, 8, 4, 2):
        run = RunConfig(batch=batch, workers=8, recipe=RecipeConfig(base_lr=0.1, base_total_batch=256))
        assert run.lr == pytest.approx(0.1 * batch / 32, rel=1e-15)
        assert run.total_batch == 8 * batch


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RunConfig(batch=0), "batch must be at least 1 .* got 0"),
        (lambda: RunConfig(workers=0), "workers must be at least 1, got 0"),
        (lambda: RunConfig(seed=-1), "seed must not be negative or above 2.63 - 1, got -1"),
        (lambda: RunConfig(threads=0), "threads must be at least 1"),
        (lambda: RunConfig(device="tpu"), "device must be auto, cpu, cuda or cuda:N, got tpu"),
        (lambda: RunConfig(device="cuda:x"), "device must be"),
        (lambda: norm_config(num_groups=2, channels_per_group=2), "not both: got 2 and 2"),
        (lambda: norm_config(num_groups=0), "norm.num_groups must be at least 1, got 0"),
        (
            lambda: norm_config(kind="bn", momentum=0.1, num_groups=2),
            "norm.num_groups is not for kind bn, got 2; leave it out, it is for kind gn",
        ),
        (lambda: norm_config(kind="bn"), "norm.momentum is missing: kind bn needs it"),
        (lambda: norm_config(kind="bn", momentum=2.0), r"norm.momentum must be in \(0, 1\], got 2.0"),
        (
            lambda: norm_config(kind="brn", momentum=0.1),
            "norm.r_max is missing: kind brn needs it",
        ),
        (lambda: brn(r_max=0.5), "norm.r_max must be at least 1, got 0.5"),
        (lambda: brn(d_max=-1.0), "norm.d_max must not be negative, got -1.0"),
        (lambda: RunConfig(norm=brn(d_max=float("inf"))), "norm.d_max must be finite, got inf"),
        (lambda: RunConfig(data=data_config(mean=(float("nan"),))), "data.mean must be finite"),
        (lambda: brn(renorm_ramp=(1.0, 0.5, 2.0)), "norm.renorm_ramp must be three epochs"),
        (lambda: model_config(kind="vgg"), "model.classifier_pool is missing: kind vgg needs it"),
        (
            lambda: model_config(dropout=0.5),
            "model.dropout is not for kind resnet, got 0.5; .*it is for kind vgg and i3d",
        ),
        (lambda: vgg(classifier_pool=0), "model.classifier_pool must be at least 1, got 0"),
        (
            lambda: vgg(classifier_widths=(64, 0)),
            r"model.classifier_widths must be at least 1 each, got \(64, 0\)",
        ),
        (lambda: model_config(neck="fpn"), "model.neck is not for kind resnet, got fpn"),
        (
            lambda: model_config(kind="mask_rcnn"),
            "model.neck is missing: kind mask_rcnn needs it",
        ),
        (
            lambda: model_config(box_norm="gn"),
            "model.box_norm is not for kind resnet, got gn",
        ),
        (lambda: detector(neck="pan"), "model.neck must be fpn or c4, got pan"),
        (
            lambda: detector(neck="c4"),
            "model.fpn_stages is for model.neck=fpn, which needs it: got 3 with neck c4",
        ),
        (lambda: detector(fpn_width=None), "model.fpn_width is for model.neck=fpn, which needs it: got None"),
        (
            lambda: detector(mask_norm="brn"),
            "model.mask_norm must be same, gn, ln, .*bn, .* or none, got brn",
        ),
        (lambda: detector(box_head="1fc"), "model.box_head must be 2fc or 4conv1fc, got 1fc"),
        (lambda: detector(box_head="2fc", box_norm="gn"), "model.box_norm is for model.box_head=4conv1fc"),
        (
            lambda: detector(anchor_sizes=(16, 32)),
            "one size for each of the FPN's 3 stages and one for the level",
        ),
        (lambda: detector(roi_size=7), "model.roi_size must be even, got 7"),
        (
            lambda: detector(rpn_pre_nms=(100,)),
            "model.rpn_pre_nms must be two numbers, for training and eval",
        ),
        (
            lambda: detector(freeze_at=6),
            "model.fpn_stages and model.freeze_at must fit 4 stages, got 3 and 6",
        ),
        (lambda: detector(box_beta=0.0), "model.box_beta must be positive, got 0.0"),
        (
            lambda: norm_config(kind="gn", momentum=0.1),
            "norm.momentum is not for kind gn, got 0.1; .* bn, sync_bn and brn",
        ),
        (lambda: RunConfig(seed=2**63), "seed must not be negative or above"),
        (lambda: model_config(widths=(0, 0, 0, 0)), "model.widths must be at least 1 each"),
        (lambda: model_config(stem_stride=0), "model.stem_stride must be at least 1, got 0"),
        (lambda: model_config(name="../x"), "model.name may hold letters"),
        (lambda: data_config(name="a/../../b"), "data.name may hold letters.*got 'a/../../b'"),
        (lambda: data_config(num_train=0), "data.num_train must be at least 1, got 0"),
        (lambda: RecipeConfig(momentum=0.0), "recipe.nesterov=true needs recipe.momentum above 0"),
        (lambda: RecipeConfig(momentum=1.0), r"recipe.momentum must be in \[0, 1\), got 1.0"),
        (lambda: RecipeConfig(weight_decay=-1.0), "recipe.weight_decay must not be negative, got -1.0"),
        (lambda: RecipeConfig(precise_images=0), "recipe.precise_images must be at least 1, got 0"),
        (lambda: norm_config(eps=0.0), "norm.eps must be positive"),
        (lambda: model_config(blocks=(1,)), "one entry per stage"),
        (lambda: data_config(mean=(0.5, 0.5)), "one per channel"),
        (lambda: data_config(exposure=2.0), r"data.exposure must be in \[0, 1\], got 2.0"),
        (lambda: RecipeConfig(epochs=0), "recipe.epochs must be at least 1"),
        (lambda: RecipeConfig(report_epochs=9, epochs=8), "between 1 and recipe.epochs=8, got 9"),
        (lambda: RecipeConfig(schedule="step"), "belong to schedule=step"),
        (lambda: RecipeConfig(schedule="poly"), "must be step, linear or cosine, got poly"),
        (lambda: RecipeConfig(schedule="cosine", milestones=(1,)), "belong to schedule=step"),
        (lambda: RecipeConfig(optimizer="lion"), "recipe.optimizer must be sgd or adamw, got lion"),
        (
            lambda: RecipeConfig(optimizer="adamw", momentum=0.9),
            "recipe.momentum is for recipe.optimizer=sgd, got 0.9 with adamw; give recipe.momentum=null",
        ),
        (
            lambda: RecipeConfig(optimizer="adamw", nesterov=False),
            "recipe.nesterov is for recipe.optimizer=sgd, got false with adamw; give recipe.nesterov=null",
        ),
        *(
            (
                lambda name=name: RecipeConfig(**{name: 0.5}),
                f"recipe.{name} is for recipe.optimizer=adamw, got 0.5 with sgd; give recipe.{name}=null",
            )
            for name in ("beta1", "beta2", "eps")
        ),
        (lambda: RecipeConfig(optimizer="adamw", beta2=1.0), r"recipe.beta2 must be in \[0, 1\), got 1.0"),
        (lambda: RecipeConfig(optimizer="adamw", eps=0.0), "recipe.eps must be positive, got 0.0"),
        (lambda: from_dict({"batch": 2, "batc": 3}), "unknown key batc"),
        (lambda: from_dict({"norm": {"group": 3}}), "unknown key norm.group"),
    ],
)
def test_impossible_values_are_refused_with_what_came(make, message):
    with pytest.raises(ValueError, match=message):
        make()
