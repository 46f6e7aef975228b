"""Every file under conf/ builds: at paper scale on the meta device, at smoke scale for two real steps."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from gnexp.config import RunConfig
from gnexp.config.fields import value_of
from gnexp.config.keys import group_options
from gnexp.config.task import DETECTION, VIDEO
from gnexp.data.build import build_dataset
from gnexp.data.kinds.kinetics import ClipsConfig
from gnexp.data.video.clips import Clips
from gnexp.engine.state import build, check_shapes
from gnexp.engine.train import StepRecord, train
from gnexp.models.build import build_detector
from gnexp.models.detector import DetectorInputs
from gnexp.nn.norms import conv_factory, norm_factory
from gnexp.tasks.build import build_task
from tests.composing import COMPOSER
from tests.contracts.expansions import expand, network_of
from tests.data.annotations import write_coco
from tests.data.archives import images_of, pack_cifar10, write_fashion_mnist
from tests.data.eurosat import write_eurosat
from tests.data.videos import write_kinetics
from tests.grids import keep

CPU = torch.device("cpu")


def runs_of(experiment: str, scale: str) -> list[RunConfig]:
    return [cell.runs[0] for cell in expand(experiment, scale).cells]


def two_steps(run: RunConfig) -> None:
    state = build(run, CPU)
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    records = list(itertools.islice((r for r in train(state) if isinstance(r, StepRecord)), 2))
    assert [record.step for record in records] == [1, 2]
    changed = [
        name for name, value in state.model.state_dict().items() if not torch.equal(value, before[name])
    ]
    names = [name for name, parameter in state.model.named_parameters() if parameter.requires_grad]
    assert names[0] in changed and names[-1] in changed


# Small networks also train below, at smoke scale.
@pytest.mark.parametrize(
    "scale", ["paper", *(pytest.param(s, marks=pytest.mark.slow) for s in ("small", "demo"))]
)
@pytest.mark.parametrize(
    "experiment", keep(["batch_size", "vgg", "coco_fpn", "kinetics"], group_options("experiment"))
)
def test_every_cell_of_every_experiment_has_shapes_that_work(experiment: str, scale: str) -> None:
    """Cells of one network are checked once, with the fewest images: norms can lack values with few alone."""
    smallest: dict[tuple[object, ...], RunConfig] = {}
    for run in sorted(runs_of(experiment, scale), key=lambda run: -run.batch):
        smallest[network_of(run)] = run
    for network, run in smallest.items():
        if CHECKED.get(network, run.batch + 1) > run.batch:
            check_shapes(run, build_task(run.task))
            CHECKED[network] = run.batch


CHECKED: dict[tuple[object, ...], int] = {}  # the fewest images that each network was checked with


@pytest.mark.parametrize("experiment", group_options("experiment"))
def test_every_cell_of_every_experiment_trains_at_smoke_scale(experiment: str) -> None:
    for run in runs_of(experiment, "smoke"):
        if run.run_id not in TRAINED:
            two_steps(run)
            TRAINED.add(run.run_id)


TRAINED: set[str] = set()  # a run can be of several experiments


def is_quick(norm: str, model: str) -> bool:
    """All models with one norm, all norms in two small ones, and one pair that is refused.

    The rest of the grid is marked slow.
    """
    return (
        norm == "gn"
        or model in ("thin_resnet", "thin_mask_rcnn")
        or (norm, model) == ("evonorm_s0", "torchvision")
    )


FITTING = [
    pytest.param(norm, model, marks=() if is_quick(norm, model) else pytest.mark.slow)
    for norm, model in itertools.product(group_options("norm"), group_options("model"))
]


@pytest.mark.parametrize(("norm", "model"), FITTING)
def test_every_norm_fits_every_model(norm: str, model: str) -> None:
    words = [f"model={model}", f"norm={norm}", "data.image_size=64", "data.sha256=null", "workers=1"]
    is_foreign = COMPOSER.run(words[:1]).model.is_foreign
    if is_foreign and COMPOSER.run(words[1:]).norm.own_activation:
        with pytest.raises(ValueError, match="has an activation of its own, and so has model.arch="):
            COMPOSER.run(words)
        return
    run = COMPOSER.run(words)
    if run.model.task == VIDEO:
        words += ["task.kind=video", "data=fashion_clips", "data.train_resize=[64,64]", "data.eval_resize=64"]
        run = COMPOSER.run(words)
    if run.model.task == DETECTION:
        with torch.device("meta"), torch.no_grad():
            detector(run)(torch.zeros(2, run.data.channels, 64, 64))
    else:
        check_shapes(run, build_task(run.task))


def detector(run: RunConfig) -> torch.nn.Module:
    data = run.data
    inputs = DetectorInputs(
        workers=1,
        mean=data.mean,
        std=data.std,
        min_size=None,
        max_size=None,
        num_classes=data.num_classes,
    )
    conv = conv_factory(run.norm)
    return build_detector(run.model, norm_factory(run.norm, 1), inputs, torch.Generator(), conv).train()


# Of scenes that differ in one number one is enough; what the settings do: tests/data/generated/test_scenes.py.
VARIANTS = (
    "fashion_scenes_exposure0",
    "fashion_scenes_exposure50",
    "fashion_scenes_gain",
    "fashion_scenes_inversion",
)
SETS = [
    pytest.param(name, marks=pytest.mark.slow if name in VARIANTS else ()) for name in group_options("data")
]


@pytest.mark.parametrize("data", SETS)
def test_every_data_set_gives_what_its_file_says(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embedded ones whole, which also checks the sha256 of what they make; others with a few images."""
    overrides = [f"data={data}"]
    config = COMPOSER.run(overrides).data
    if config.kind == "imagefolder":
        rng = np.random.default_rng(0)
        for place in ("train/a", "train/b", "val/a", "val/b"):
            (tmp_path / place).mkdir(parents=True)
            for index in range(2):
                pixels = rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / place / f"{index}.jpg")
        overrides += [
            f"data.root={tmp_path}",
            "data.num_classes=2",
            "data.loader_workers=0",
            "data.name=mine",
        ]
    elif config.kind == "fashion_mnist":
        write_fashion_mnist(tmp_path, images_of(5, 28, 28), images_of(5, 28, 28), monkeypatch)
        overrides += [f"data.root={tmp_path}", "data.sha256=null"]
    elif config.kind == "cifar10":
        archive = pack_cifar10(images_of(5, 3, 32, 32), images_of(5, 3, 32, 32), monkeypatch)
        (tmp_path / CIFAR10.filename).write_bytes(archive)
        overrides += [f"data.root={tmp_path}", "data.sha256=null"]
    elif config.kind == "eurosat":
        write_eurosat(tmp_path, monkeypatch)
        overrides += [f"data.root={tmp_path}", "data.sha256=null"]
    elif config.kind == "coco":
        write_coco(tmp_path, category_ids=range(11, 11 + config.num_classes))
        overrides += [f"data.root={tmp_path}", "data.loader_workers=0"]
    elif config.kind == "kinetics":
        write_kinetics(tmp_path, num_train=2, num_val=1, num_classes=4)
        overrides += [f"data.root={tmp_path}", "data.num_classes=4", "data.loader_workers=0"]
    elif config.is_generated:
        overrides += [f"data.root={tmp_path}", "data.num_train=8", "data.num_val=8", "data.sha256=null"]
    config = COMPOSER.run(overrides).data
    dataset = build_dataset(config, CPU)
    assert config.num_train in (None, dataset.num_train)
    if config.task == DETECTION:
        for split in ("train", "val"):
            steps = [np.arange(4)]
            (batch,) = dataset.train_batches(0, 0, steps) if split == "train" else dataset.val_batches(steps)
            for image, target in zip(batch.images, batch.labels, strict=True):
                assert len(image) == config.channels and image.dtype == torch.float32 and image.max() <= 1
                assert ("masks" in target) == (split == "train")
                assert len(target.get("masks", target["boxes"])) == len(target["boxes"])
                assert all(1 <= label <= config.num_classes for label in target["labels"].tolist())
        return
    if isinstance(config, ClipsConfig):
        assert isinstance(dataset, Clips)
        for batches in (
            dataset.train_batches(0, 0, [np.arange(4)]),
            dataset.monitored(0, 0).val_batches([np.arange(4)]),
        ):
            (batch,) = batches
            size = config.image_size
            assert batch.images.shape == (4, config.channels, config.clip_length, size, size)
            assert batch.images.dtype == torch.float32 and batch.labels.shape == (4,)
        (batch,) = dataset.val_batches([np.arange(4)])
        for images in batch.images:
            assert images.shape[:3] == (config.num_clips, config.channels, config.clip_length)
            assert min(images.shape[3:]) == config.eval_resize
        return
    for batches in (dataset.train_batches(0, 0, [np.arange(4)]), dataset.val_batches([np.arange(4)])):
        (batch,) = batches
        assert batch.images.shape == (4, config.channels, config.image_size, config.image_size)
        assert batch.images.dtype == torch.float32 and bool(batch.images.isfinite().all())
        assert batch.labels.shape == (4,) and int(batch.labels.max()) < config.num_classes
    if value_of(config, "exposure") not in (None, 1.0):
        # Chosen to differ from fashion_scenes in their exposure alone, so they keep its constants, which do not centre
        # darker images.
        full = COMPOSER.run(["data=fashion_scenes"]).data
        assert (config.mean, config.std) == (full.mean, full.std)
    elif config.folder is None:  # its own images, all of them
        many = torch.cat([b.images for b in dataset.train_batches(0, 0, [np.arange(2000)])])
        assert abs(float(many.mean())) < 0.1 and 0.6 < float(many.std()) < 1.2, (
            "mean and std are not the data's"
        )


@pytest.mark.slow  # half a minute for the videos
def test_every_generated_set_has_the_sha256_of_its_file(tmp_path: Path) -> None:
    generated = [data for data in group_options("data") if COMPOSER.run([f"data={data}"]).data.is_generated]
    assert {"fashion_clips", "fashion_coco"} <= set(generated)
    for data in generated:
        config = COMPOSER.run([f"data={data}", f"data.root={tmp_path / data}"]).data
        assert config.sha256 is not None
        dataset = build_dataset(config, CPU)  # which checks it
        assert (dataset.num_train, dataset.num_val) == (config.num_train, config.num_val)
