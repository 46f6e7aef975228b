"""One identity: what changes a run is in its run_id, and what is in its run_id changes the run.

Every field of RunConfig is walked in some small runs of each kind: it takes another legal value, and then either the
run_id is another, and so is something that is built, trained or found, or all of that is the same to the bit (for the
fields of execution: but for rounding).
"""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import operator
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from PIL import Image

from gnexp.compose.composer import Composer
from gnexp.config import RunConfig, from_dict, science
from gnexp.config import run as run_module
from gnexp.config.fields import value_of
from gnexp.config.keys import COMMAND_KEYS, GROUPS, choices_of_fields, conf_dir, known_keys, type_of
from gnexp.config.kinds import KIND_GROUPS, classes_of
from gnexp.config.task import CLASSIFICATION
from gnexp.data.build import build_dataset
from gnexp.data.loader import train_batches, val_batches
from gnexp.engine import state as state_module
from gnexp.engine.evaluate import eval_model, measure_val
from gnexp.engine.state import State, build, check_shapes
from gnexp.engine.train import StepRecord, train
from gnexp.tasks.task import Task
from tests.contracts.expansions import network_of

CPU = torch.device("cpu")
COMPOSER = Composer()
_SMOKE = "scale=smoke device=cpu threads=1 batch=2 workers=2 data.loader_workers=0 recipe.epochs=2 data.sha256=null"
_STEPS = "recipe.schedule=step recipe.milestones=[1] recipe.drop_factor=0.5"
_THIN = "model.blocks=[1,1] model.widths=[4,8] model.default_num_groups=2"
_SCENES = f"{_SMOKE} data.num_train=14 data.num_val=6"
_MASKS = (
    f"{_SMOKE} {_THIN} task.kind=detection recipe=smoke_coco recipe.epoch_steps=1 recipe.epochs=1 "
    "data=fashion_coco data.num_train=8 data.num_val=2 data.root=ROOT/masks data.image_size=64 data.min_size=64 "
    "data.max_size=64 model.rois=8 "
    "model.rpn_anchors=16 model.rpn_pre_nms=[40,20] model.rpn_post_nms=[20,10] model.head_width=8 model.detections=5"
)
_FPN = (
    f"{_MASKS} model=thin_mask_rcnn model.fpn_stages=2 model.anchor_sizes=[16,28,44] model.fpn_width=8 "
    "model.fc_width=16"
)
CELLS = {
    "classifier": f"{_SCENES} {_STEPS} {_THIN} norm=gn",
    "batch renorm": f"{_SCENES} {_THIN} norm=brn norm.renorm_ramp=[0.1,0.5,0.9] recipe.warmup_epochs=1",
    "no norm": f"{_SCENES} {_THIN} norm=none recipe.optimizer=adamw recipe.schedule=cosine",
    "vgg": f"{_SCENES} model=thin_vgg model.blocks=[1,1] model.widths=[4,8] model.classifier_widths=[8] norm=bn "
    "recipe.warmup_steps=2 recipe.warmup_factor=0.5",
    "torchvision": f"{_SCENES} model=torchvision model.arch=shufflenet_v2_x0_5 norm=gn",
    "timm": f"{_SCENES} model=timm model.arch=test_resnet norm=bn",
    "photographs": f"{_SMOKE} {_THIN} data=imagefolder data.root=ROOT/photographs data.name=mine data.num_classes=2 "
    "data.image_size=16 data.eval_resize=18 data.num_train=null data.num_val=null data.on_error=skip "
    "recipe.norm_weight_decay=0.0 batch=1",
    "fpn": f"{_FPN} norm=gn model.fpn_norm=ln model.box_norm=gn model.mask_norm=bn",
    "frozen": f"{_FPN} norm=frozen_bn model.box_norm=gn",
    "c4": f"{_MASKS} model=thin_mask_rcnn_c4 norm=bn",
    "video": f"{_SMOKE} task.kind=video recipe=smoke_kinetics recipe.epochs=1 model=thin_i3d {_THIN} "
    "model.temporal_kernels=[3,1] data=fashion_clips data.num_train=8 data.num_val=8 data.root=ROOT/clips norm=bn",
}


def cells_of_other_kinds() -> dict[str, str]:
    """A cell for each kind that none above has, of its first file, where nothing is to be fetched for it."""
    cells: dict[str, str] = {}
    defaults = {"norm": "gn", "model": "thin_resnet", "data": "fashion_scenes"}
    words = {word for cell in CELLS.values() for word in cell.split()}
    for group in KIND_GROUPS:
        files: dict[str, str] = {}
        walked: set[str] = set()
        for path in sorted((conf_dir() / group).glob("*.yaml")):
            kind = yaml.safe_load(path.read_text(encoding="utf-8")).get("kind")
            files.setdefault(kind, path.stem)
            if path.stem == defaults[group] or f"{group}={path.stem}" in words:
                walked.add(kind)
        for kind, cls in classes_of(group).items():
            is_there = group != "data" or not (cls.reads_folder or cls.is_downloaded)
            is_classifier = getattr(cls, "task", CLASSIFICATION) == CLASSIFICATION
            if kind not in walked and is_there and is_classifier:
                shape = "" if group == "model" else _THIN
                cells[f"{group} {kind}"] = f"{_SCENES} {shape} {group}={files[kind]}"
    return cells


CELLS |= cells_of_other_kinds()
# Another legal value of a field, the first that a run can take; where others must change with it, those too. A field
# that is not here takes those that follow from its type and its choices (others_of).
OTHERS: dict[str, tuple[str, ...]] = {
    "norm.kind": ("norm.kind=none", "norm.kind=gn", "norm.kind=gn norm.momentum=null"),
    "norm.num_groups": ("1",),
    "norm.channels_per_group": ("norm.channels_per_group=1 norm.num_groups=null",),
    "norm.eps": ("0.01",),
    "norm.momentum": ("0.3",),
    "norm.r_max": ("1.01",),
    "norm.d_max": ("0.01",),
    "norm.renorm_ramp": ("[0.2,0.5,0.9]",),
    "norm.impl": ("composed",),
    "model.name": ("other",),
    "model.kind": (
        (
            "model.kind=vgg model.classifier_pool=1 model.classifier_widths=[8] model.dropout=0.5 "
            "model.block=null model.stem=null model.stem_stride=null model.zero_init_last=null"
        ),
    ),
    "model.arch": ("test_efficientnet", "shufflenet_v2_x1_0"),
    "model.block": ("bottleneck",),
    "model.blocks": ("[1,2]", "[1,1,1,2]", "model.blocks=[1,2] model.temporal_kernels=[3,1,1]"),
    "model.widths": ("[4,12]", "[16,32,64,136]"),
    "model.stem": ("conv7x7_pool",),
    "model.stem_stride": ("1",),
    "model.default_num_groups": ("4",),
    "model.zero_init_last": ("false",),
    "model.init_mode": ("fan_in",),
    "model.classifier_pool": ("2",),
    "model.classifier_widths": ("[9]",),
    "model.dropout": ("0.1",),
    "model.classifier_std": ("0.02",),
    "model.backbone": ("thin_resnet_deep",),
    "model.neck": (
        "model.neck=c4 "
        + " ".join(f"model.{name}=null" for name in ("fpn_stages", "fpn_width", "box_head", "fc_width"))
        + " model.fpn_norm=null model.box_norm=null model.mask_norm=null",
    ),
    "model.fpn_norm": ("gn",),
    "model.box_norm": ("ln",),
    "model.mask_norm": ("same", "gn"),
    "model.freeze_at": ("1",),
    "model.fpn_stages": ("model.fpn_stages=1 model.anchor_sizes=[16,28]",),
    "model.fpn_width": ("16",),
    "model.anchor_sizes": ("[16,28,40]",),
    "model.rpn_anchors": ("8",),
    "model.rpn_pre_nms": ("[10,20]", "[40,5]"),
    "model.rpn_post_nms": ("[10,10]", "[20,5]"),
    "model.rois": ("4",),
    "model.roi_size": ("14",),
    "model.roi_samples": ("2",),
    "model.box_head": ("model.box_head=2fc model.box_norm=null",),
    "model.head_width": ("16",),
    "model.fc_width": ("8",),
    "model.box_beta": ("0.01",),
    "model.detections": ("3",),
    "model.stem_frames": ("3",),
    "model.temporal_strides": ("[1,1,2]",),
    "model.temporal_kernels": ("[1,1]",),
    "data.kind": ("data.kind=fashion data.image_size=28 data.exposure=null data.clutter=null",),
    "data.image_size": ("28", "17", "100"),
    "data.num_classes": ("data.num_classes=3 data.root=ROOT/three",),
    "data.num_train": ("20", "4"),
    "data.num_val": ("5", "1", "9"),
    "data.val_source": ("train",),
    "data.mean": ("[0.4]", "[0.4,0.4,0.4]"),
    "data.std": ("[0.2]", "[0.3,0.3,0.3]"),
    "data.flip": ("false",),
    "data.shift": ("2",),
    "data.exposure": ("0.5",),
    "data.gain": ("0.5",),
    "data.background": ("0.5",),
    "data.inversion": ("0.5",),
    "data.clutter": ("2",),
    "data.crop_area": ("[0.3,0.5]",),
    "data.crop_aspect": ("[0.9,1.1]",),
    "data.jitter": ("0.2",),
    "data.lighting": ("0.5",),
    "data.eval_resize": ("20", "36"),
    "data.train_resize": ("[36,40]",),
    "data.clip_length": ("8",),
    "data.clip_span": ("16",),
    "data.num_clips": ("3",),
    "data.test_crop": ("three", "data.test_crop=center data.eval_resize=36"),
    "data.decoder": ("scaled",),
    "data.min_size": ("48",),
    "data.masks": ("false",),
    "data.expected_of": ("others",),
    "data.max_size": ("data.max_size=80 data.min_size=72",),
    "data.root": ("ROOT/copy",),
    "data.loader_workers": ("1",),
    "data.loader_timeout": ("100",),
    "data.max_skipped": ("3",),
    "data.expected_train": ("7",),
    "data.expected_val": ("7",),
    "recipe.name": ("other",),
    "recipe.epochs": ("3",),
    "recipe.epoch_steps": ("1",),
    "recipe.eval_every": ("2",),
    "recipe.eval_points": ("recipe.eval_points=3 recipe.epochs=4 recipe.eval_every=4",),
    "recipe.base_lr": ("0.05",),
    "recipe.base_total_batch": ("32",),
    "recipe.schedule": ("recipe.schedule=linear recipe.milestones=null recipe.drop_factor=null", _STEPS),
    "recipe.milestones": ("[2]",),
    "recipe.drop_factor": ("0.1",),
    "recipe.warmup_epochs": ("0", "1"),
    "recipe.warmup_steps": ("3", "recipe.warmup_steps=2 recipe.warmup_factor=0.5"),
    "recipe.warmup_factor": ("0.1",),
    "recipe.momentum": ("0.5",),
    "recipe.nesterov": ("false", "true"),
    "recipe.weight_decay": ("0.01",),
    "recipe.norm_weight_decay": ("0.02",),
    "recipe.bias_lr_factor": ("3.0",),
    "recipe.bias_weight_decay": ("0.02",),
    "recipe.report_epochs": ("2",),
    "recipe.precise_images": ("4",),
    "batch": ("3", "1"),
    "workers": ("1",),
    "seed": ("1",),
    "precision": ("bf16",),
    "memory_format": ("channels_last",),
    "workers_per_pass": ("1",),
    "checkpoint_minutes": ("1",),
    "peer_timeout": ("100",),
}
# What changes nothing here, and why; a field of science is still hashed.
EXCUSED = {
    "data.channels": "goes with the kind of data; of coco: tests/data/coco/test_coco.py",
    "data.name": "names the images of data.root, which is hardware",
    "data.sha256": "is compared with the images, and another one refuses them",
    "data.on_error": "only where a file cannot be read: tests/data/images/test_imagefolder.py",
    "recipe.version": "stands for the code",
    "task.kind": "goes with one kind of model and of data, and is refused with others",
    "init": "needs weights: tests/engine/test_initial_weights.py",
    "init_layout": "needs weights: tests/engine/test_published_weights.py",
    "init_path": "follows from init",
    "device": "there may be no other",
    "compile": "takes a minute: tests/engine/test_precision.py",
    "threads": "changes rounding alone; a second one waits in a loop where the machine is busy: minutes for a second",
    "processes": "needs others: tests/engine/test_processes.py",
}
# Fields that change which kernels compute, in which order, and so the last bits: a loss by less than a thousandth.
ROUNDING = {"norm.impl", "memory_format", "workers_per_pass"}
MOST_ROUNDING = 1e-3
FIELDS = [key for key in known_keys() if key not in (*GROUPS, *COMMAND_KEYS) and key not in EXCUSED]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Where photographs lie, and generated sets are kept."""
    root = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    for folder, classes in (("photographs", "ab"), ("copy", "ab"), ("three", "abc")):
        for name in classes:
            for split in ("train", "val"):
                (root / folder / split / name).mkdir(parents=True)
                for index in range(3):
                    pixels = rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(root / folder / split / name / f"{index}.jpg")
    shutil.rmtree(root / "copy")
    shutil.copytree(root / "photographs", root / "copy")
    yield root
    shutil.rmtree(root)


@functools.cache
def plain(cell: str, place: Path) -> str:
    """A cell's config as a command line spells it, as JSON; Hydra takes a hundred times as long as what follows."""
    words = CELLS[cell].replace("ROOT", str(place)).split()
    chosen = list({word.partition("=")[0]: word for word in words}.values())  # the last one wins
    values = OmegaConf.to_container(COMPOSER.load(chosen), resolve=True)
    assert isinstance(values, dict)
    return json.dumps({f.name: values[f.name] for f in dataclasses.fields(RunConfig)})


def compose(cell: str, change: str, place: Path) -> RunConfig:
    """A cell's run with some overrides."""
    values: dict[str, Any] = json.loads(plain(cell, place))
    for word in change.split():
        key, _, value = word.replace("ROOT", str(place)).partition("=")
        *parents, name = key.split(".")
        functools.reduce(operator.getitem, parents, values)[name] = yaml.safe_load(value)
    return from_dict(values)


def digest(*values: Any) -> str:
    """Of tensors by their values, of everything else by its repr."""
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, torch.Tensor):
            found.update(repr((value.shape, value.dtype)).encode())
            found.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        elif isinstance(value, dict):
            found.update(digest(*(part for item in value.items() for part in item)).encode())
        elif isinstance(value, list | tuple):
            found.update(digest(*value).encode())
        else:
            found.update(repr(value).encode())
    return found.hexdigest()


def outcome(run: RunConfig) -> Iterator[tuple[str, Any]]:
    """All that a run builds, trains and finds, what costs least first."""
    state = build(run, CPU)
    trains = [name for name, parameter in state.model.named_parameters() if parameter.requires_grad]
    yield "network", digest(repr(state.model), trains, state.model.state_dict())
    groups = [
        {key: len(value) if key == "params" else value for key, value in group.items()}
        for group in state.optimizer.param_groups
    ]
    yield "optimizer", digest(groups, state.num_steps)
    yield "images", digest(list(images(state)))
    yield "found", digest(list(findings(state)))
    records = train(state)
    first = next(records)
    assert isinstance(first, StepRecord)
    yield "first loss", first.loss
    yield "training", digest([r.loss if isinstance(r, StepRecord) else r.metrics for r in records])
    yield "weights", digest(state.model.state_dict())


def images(state: State) -> Iterator[Any]:
    run = state.run
    for batch in train_batches(
        state.dataset, seed=run.seed, epoch=0, total_batch=run.total_batch, workers=run.workers
    ):
        yield batch.images, batch.labels
    for view in state.task.views(run, state.dataset, epoch=1, is_thorough=True):
        for batch in val_batches(view, size=state.task.eval_size(run)):
            yield batch.images, batch.labels


def findings(state: State) -> Iterator[Any]:
    yield [partials for _, partials in measure_val(state, "worker0", 0)]
    yield eval_model(state, "precise", 0).state_dict()


@pytest.fixture(scope="module", autouse=True)
def _kept() -> Iterator[None]:
    """Runs of one data set share it, and runs of one network the check of its shapes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_module, "build_dataset", _dataset)
        patch.setattr(state_module, "check_shapes", _check_shapes)
        yield
    torch.set_num_threads(before)


_dataset = functools.cache(build_dataset)
_checked: set[tuple[object, ...]] = set()


def _check_shapes(run: RunConfig, task: Task) -> None:
    network = (*network_of(run), run.batch, run.processes)
    if network not in _checked:
        check_shapes(run, task)
        _checked.add(network)


@functools.cache
def base(cell: str, place: Path) -> tuple[RunConfig, dict[str, Any]]:
    run = compose(cell, "", place)
    return run, dict(outcome(run))


def others_of(key: str) -> tuple[str, ...]:
    """Values of a field to choose from, as overrides."""
    if key in OTHERS:
        return OTHERS[key]
    hint = type_of(key)
    numbers = {int: ("1", "2", "3"), float: ("0.25", "0.5", "2.0")}
    of_type = next((values for kind, values in numbers.items() if hint in (kind, kind | None)), ())
    return choices_of_fields().get(key, of_type)


def changed(cell: str, key: str, place: Path) -> Iterator[tuple[str, RunConfig]]:
    """The overrides that give a field of a cell's run another value, and the run."""
    base_run = base(cell, place)[0]
    for value in others_of(key):
        change = value if "=" in value else f"{key}={value}"
        if "ROOT" in change and cell != "photographs":
            continue
        if key.startswith("recipe.") and cell in ("fpn", "frozen", "c4", "video"):
            continue  # a recipe means the same to every task, and these take longest
        if key == "recipe.precise_images" and not any(norm.has_running_stats for norm in base_run.norms):
            continue  # one recipe serves every norm, also those without statistics that could be precise
        with contextlib.suppress(ValueError):
            run = compose(cell, change, place)
            if run != base_run:  # else it has this value already
                yield change, run


def differs(run: RunConfig, expected: dict[str, Any]) -> bool | None:
    """Whether anything comes of a run that does not come of the other; None where it cannot be built."""
    stages = outcome(run)
    try:
        first = next(stages)
    except ValueError:
        return None
    return any(expected[name] != value for name, value in itertools.chain([first], stages))


def test_every_field_has_another_value_or_an_excuse() -> None:
    assert set(OTHERS) <= set(FIELDS) and not set(OTHERS) & set(EXCUSED)
    lacking = [key for key in FIELDS if not others_of(key)]
    assert not lacking, f"OTHERS needs another value of {lacking}: none follows from its type"


@pytest.mark.parametrize("key", FIELDS)
def test_what_changes_the_id_changes_the_run(key: str, place: Path) -> None:
    """In the first cell of each kind that reads the field."""
    walk_key(key, place, CELLS, is_whole=False)


@pytest.mark.slow
@pytest.mark.parametrize("key", FIELDS)
def test_what_changes_the_id_changes_the_run_of_every_cell(key: str, place: Path) -> None:
    walk_key(key, place, CELLS)


def test_a_field_that_is_hashed_and_ignored_is_found(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted violation: the model's name, which changes nothing, as a part of the id."""
    monkeypatch.setattr(run_module, "science", lambda run: {**science(run), "planted": run.model.name})
    with pytest.raises(AssertionError, match="model.name changes the id and nothing else"):
        walk_key("model.name", place, ["no norm"])


def test_a_field_that_changes_the_run_and_not_the_id_is_found(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted violation: the initialisation, which changes the network, left out of the id."""

    def without(run: RunConfig) -> dict[str, Any]:
        found = science(run)
        return {**found, "model": {k: v for k, v in found["model"].items() if k != "init_mode"}}

    monkeypatch.setattr(run_module, "science", without)
    with pytest.raises(AssertionError, match=r"changes \['network'"):
        check_neutral("no norm", place)


def reader(run: RunConfig, key: str) -> object:
    """What of a run reads a field: a kind of its section, else its optimizer or its task."""
    section = key.rpartition(".")[0]
    if not section:
        return run.task.kind
    config = getattr(run, section)
    return config.optimizer if section == "recipe" else (config.kind, value_of(config, "neck"))


def walk_key(key: str, place: Path, cells: Iterable[str], *, is_whole: bool = True) -> None:
    """Asserts that another value of a field changes the id and the run, or neither."""
    legal = False
    read: set[object] = set()  # by what, so far
    for cell in cells:
        if not is_whole and reader(compose(cell, "", place), key) in read:
            continue
        run, expected = base(cell, place)
        for _, other in changed(cell, key, place):
            found = None if other.run_id == run.run_id else differs(other, expected)
            assert found is not False, f"{cell}: {key} changes the id and nothing else"
            legal |= found is not None or other.run_id == run.run_id
            if found is not None:
                read.add(reader(run, key))
                break
    assert legal, f"no cell can take another {key}"


@pytest.mark.parametrize("cell", CELLS)
def test_what_does_not_change_the_id_changes_no_bit(cell: str, place: Path) -> None:
    """All such fields at once; those of execution change the last bits."""
    check_neutral(cell, place)


def check_neutral(cell: str, place: Path) -> None:
    """Asserts that what leaves a cell's id as it is leaves the run as it is."""
    run, expected = base(cell, place)
    neutral = {
        key: change
        for key in FIELDS
        for change, other in itertools.islice(changed(cell, key, place), 1)
        if other.run_id == run.run_id
    }
    exact = [change for key, change in neutral.items() if key not in ROUNDING]
    assert len(exact) >= 6
    stages = dict(outcome(compose(cell, " ".join(exact), place)))
    wrong = [name for name, value in stages.items() if expected[name] != value]
    assert not wrong, f"{' '.join(exact)} changes {wrong} and not the id"
    rounded = compose(cell, " ".join(change for key, change in neutral.items() if key in ROUNDING), place)
    stages = dict(itertools.takewhile(lambda stage: stage[0] != "training", outcome(rounded)))
    assert stages["images"] == expected["images"]
    assert stages["first loss"] == pytest.approx(expected["first loss"], rel=MOST_ROUNDING)
