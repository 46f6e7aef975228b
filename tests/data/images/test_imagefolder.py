"""Class folders of real JPEG and PNG files, made of garments on gradients, through the whole Dataset."""

import multiprocessing
import random
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from gnexp.config import data_config
from gnexp.data.build import build_dataset
from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.images.color import augment_color, draw_color
from gnexp.data.images.imagefolder import ImageFolder

CPU = torch.device("cpu")
CLASSES = ("n01", "n02", "n03")


def _config(root, **changes):
    settings = {
        "name": "photographs",
        "kind": "imagefolder",
        "root": None if root is None else str(root),
        "image_size": 32,
        "channels": 3,
        "num_classes": len(CLASSES),
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "crop_area": (0.08, 1.0),
        "crop_aspect": (3 / 4, 4 / 3),
        "jitter": 0.4,
        "lighting": 0.1,
        "eval_resize": 40,
        "loader_workers": 0,
    }
    return data_config(**(settings | changes))


def _save_picture(path, garment, rng):
    """A garment on a colored gradient, of a size of its own."""
    width, height = (int(side) for side in rng.integers(40, 90, 2))
    shape = np.asarray(Image.fromarray(garment).resize((width, height)), dtype=np.float64) / 255
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    tilt, tint = rng.uniform(0, 0.5, (2, 3)), rng.uniform(0, 0.5, 3)
    background = x[..., None] * tilt[0] + y[..., None] * tilt[1]
    pixels = np.clip(background + shape[..., None] * (0.5 + tint), 0, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(pixels * 255)).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    garments = iter(load_fashion_mnist().test_images)
    for split, num in (("train", 14), ("val", 4)):
        for name in CLASSES:
            for i in range(num):
                suffix = "png" if i % 4 == 3 else "JPEG"
                _save_picture(folder / split / name / f"{name}_{i}.{suffix}", next(garments), rng)
    return folder


def _steps(*steps):
    return [np.array(step, dtype=np.int64) for step in steps]


def _all(batches):
    found = list(batches)
    return torch.cat([b.images for b in found]), torch.cat([b.labels for b in found])


def test_build_dataset_finds_it(root):
    dataset = build_dataset(_config(root), CPU)
    assert isinstance(dataset, ImageFolder)
    assert (dataset.num_train, dataset.num_val) == (42, 12)
    assert len(dataset.fingerprint) == 64


def test_batches_have_their_steps_images_and_labels(root):
    steps = _steps([41, 0, 14], [13, 28], list(range(42)))  # the last is more than one chunk
    batches = list(ImageFolder(_config(root), CPU).train_batches(0, 0, steps))
    assert [tuple(b.images.shape) for b in batches] == [(len(step), 3, 32, 32) for step in steps]
    assert all(b.images.dtype == torch.float32 and b.labels.dtype == torch.int64 for b in batches)
    assert [b.labels.tolist() for b in batches] == [[2, 0, 1], [0, 2], [0] * 14 + [1] * 14 + [2] * 14]
    assert not list(ImageFolder(_config(root), CPU).train_batches(0, 0, []))


def test_loader_processes_change_no_bit(root):
    steps = _steps(range(5), range(5, 42), [3])
    for split in ("train", "val"):
        results = []
        for loader_workers in (0, 2):
            dataset = ImageFolder(_config(root, loader_workers=loader_workers), CPU)
            batches = (
                dataset.train_batches(5, 1, steps)
                if split == "train"
                else dataset.val_batches(_steps(range(12)))
            )
            results.append(_all(batches))
        assert torch.equal(results[0][0], results[1][0])
        assert torch.equal(results[0][1], results[1][1])


def test_an_image_is_a_function_of_seed_epoch_and_index(root):
    dataset = ImageFolder(_config(root), CPU)

    def images(seed, epoch, steps):
        return _all(dataset.train_batches(seed, epoch, steps))[0]

    together = images(0, 0, _steps(range(10)))
    assert torch.equal(images(0, 0, _steps(range(10))), together)
    apart = images(0, 0, _steps(*([i] for i in reversed(range(10))))).flip(0)
    assert torch.equal(apart, together)
    for seed, epoch in ((1, 0), (0, 1)):
        other = images(seed, epoch, _steps(range(10)))
        assert ((other - together).abs().amax(dim=(1, 2, 3)) > 0.1).all()


def test_training_is_crop_then_color_then_normalization(root):
    indices = np.arange(6)
    plain = {"jitter": None, "lighting": None, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    cropped = _all(ImageFolder(_config(root, **plain), CPU).train_batches(7, 3, [indices]))[0]
    assert torch.equal((cropped * 255).round() / 255, cropped) and 0 <= cropped.min() <= cropped.max() <= 1
    config = _config(root)
    colored = augment_color(cropped, draw_color(7, 3, indices, jitter=0.4, lighting=0.1))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (config.mean, config.std))
    got = _all(ImageFolder(config, CPU).train_batches(7, 3, [indices]))[0]
    torch.testing.assert_close(got, (colored - mean) / std, rtol=0, atol=5e-6)


def test_the_rest_of_an_epoch_and_a_part_of_its_steps_have_the_same_bits(root):
    """What a resumed run, and one process among several, ask for."""
    dataset = ImageFolder(_config(root, loader_workers=2), CPU)
    steps = list(np.random.default_rng(0).permutation(42).reshape(6, 7))
    images, labels = _all(dataset.train_batches(9, 2, steps))
    rest = _all(dataset.train_batches(9, 2, steps[4:]))
    assert torch.equal(rest[0], images[28:]) and torch.equal(rest[1], labels[28:])
    part = _all(dataset.train_batches(9, 2, [step[1::3] for step in steps]))
    assert torch.equal(part[0], images.view(6, 7, 3, 32, 32)[:, 1::3].flatten(0, 1))
    assert torch.equal(part[1], labels.view(6, 7)[:, 1::3].flatten())


def test_half_of_the_images_are_flipped(root):
    whole = {
        "crop_area": (1.0, 1.0),
        "crop_aspect": (1.0, 1.0),
        "jitter": None,
        "lighting": None,
    }  # the centred square
    steps = _steps(range(42))
    straight = _all(ImageFolder(_config(root, flip=False, **whole), CPU).train_batches(0, 0, steps))[0]
    maybe = _all(ImageFolder(_config(root, flip=True, **whole), CPU).train_batches(0, 0, steps))[0]
    same = [torch.equal(a, b) for a, b in zip(maybe, straight, strict=True)]
    mirrored = [torch.equal(a.flip(2), b) for a, b in zip(maybe, straight, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 10 < sum(mirrored) < 32


def test_evaluation_is_torchvisions(root):
    config = _config(root)
    reference = transforms.Compose(
        [
            transforms.Resize(40, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize(config.mean, config.std),
        ]
    )
    paths = sorted((root / "val").glob("*/*"))
    expected = torch.stack([reference(Image.open(path).convert("RGB")) for path in paths])
    images, labels = _all(ImageFolder(config, CPU).val_batches(_steps(range(5), range(5, 12))))
    # The two resizings differ by a level here and there; all else is exact.
    levels = (images - expected) * torch.tensor(config.std).view(1, 3, 1, 1) * 255
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-3)
    assert levels.abs().mean() < 0.2 and (levels.abs() > 1.5).float().mean() < 0.01
    assert labels.tolist() == [CLASSES.index(path.parent.name) for path in paths]


def _global_states():
    legacy = np.random.get_state()
    return random.getstate(), legacy[1].tobytes(), legacy[2:], torch.get_rng_state().tolist()


def test_global_random_state_is_untouched(root):
    before = _global_states()
    for loader_workers in (0, 1):
        dataset = ImageFolder(_config(root, loader_workers=loader_workers), CPU)
        list(dataset.train_batches(0, 0, _steps(range(4))))
        list(dataset.val_batches(_steps(range(4))))
    assert _global_states() == before


def test_num_train_and_num_val_take_classes_evenly(root):
    dataset = ImageFolder(_config(root, num_train=7, num_val=3), CPU)
    assert (dataset.num_train, dataset.num_val) == (7, 3)
    assert _all(dataset.train_batches(0, 0, _steps(range(7))))[1].tolist() == [0, 0, 0, 1, 1, 2, 2]
    with pytest.raises(ValueError, match="num_val must be between 1 and 12, .*, got 13"):
        ImageFolder(_config(root, num_val=13), CPU)


def test_another_number_of_images_than_expected_is_noted(root):
    assert ImageFolder(_config(root), CPU).notes == []
    assert ImageFolder(_config(root, num_train=7, expected_train=42, expected_val=12), CPU).notes == []
    assert ImageFolder(_config(root, expected_train=1_281_167, expected_val=50_000), CPU).notes == [
        f"photographs has 1281167 train images, {root / 'train'} holds 42",
        f"photographs has 50000 val images, {root / 'val'} holds 12",
    ]
    of_another = _config(root, expected_train=1_281_167, expected_val=50_000, expected_of="imagenet")
    assert ImageFolder(of_another, CPU).notes == [], "one's own set has a number of its own"


def test_nested_folders_pgm_and_gifs_first_frame_are_read_and_the_rest_is_named(tmp_path):
    pictures = [Image.new("RGB", (50, 50), color) for color in ("red", "blue")]
    for split in ("train", "val"):
        for name in CLASSES:
            (tmp_path / split / name / "deep").mkdir(parents=True)
            pictures[0].convert("L").save(tmp_path / split / name / "deep" / "1.pgm")
            pictures[0].save(
                tmp_path / split / name / "2.gif", save_all=True, append_images=[pictures[1]], duration=40
            )
    (tmp_path / "val" / "n03" / "deep" / "3.heic").touch()
    dataset = ImageFolder(_config(tmp_path), CPU)
    assert (dataset.num_train, dataset.num_val) == (6, 6)
    folder = tmp_path / "val"
    assert dataset.notes == [f"{folder}: 1 other entry passed over, the first n03/deep/3.heic"]
    images, labels = _all(dataset.val_batches(_steps(range(6))))
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    config = _config(tmp_path)
    red = (torch.tensor([1.0, 0.0, 0.0]) - torch.tensor(config.mean)) / torch.tensor(config.std)
    assert torch.allclose(images[0], red.view(3, 1, 1), atol=1e-5)
    gray = images[1] * torch.tensor(config.std).view(3, 1, 1) + torch.tensor(config.mean).view(3, 1, 1)
    assert torch.allclose(gray, torch.tensor(76 / 255), atol=1e-5)


def test_sha256_pins_the_folder(root):
    fingerprint = ImageFolder(_config(root), CPU).fingerprint
    ImageFolder(_config(root, sha256=fingerprint), CPU)
    with pytest.raises(ValueError, match=rf"data.sha256 must be .* got abc, they have {fingerprint}; mend"):
        ImageFolder(_config(root, sha256="abc"), CPU)


@pytest.mark.parametrize("loader_workers", [0, 1])
def test_an_unreadable_image_is_one_clear_line(tmp_path, loader_workers):
    for split in ("train", "val"):
        for name in CLASSES:
            path = tmp_path / split / name / "1.png"
            _save_picture(path, np.zeros((28, 28), dtype=np.uint8), np.random.default_rng(0))
    (tmp_path / "train" / "n02" / "1.png").write_bytes(b"nothing")
    dataset = ImageFolder(_config(tmp_path, loader_workers=loader_workers), CPU)
    path = tmp_path / "train" / "n02" / "1.png"
    line = f"cannot read the image {path}: not an image that Pillow knows; mend or remove it"
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$") as held:
        list(dataset.train_batches(0, 0, _steps([0, 2], [0, 1])))
    assert held.tb is not None  # its frames would keep the loader processes
    assert not multiprocessing.active_children()


def test_closing_stops_the_loader_processes_at_once(root):
    batches = ImageFolder(_config(root, loader_workers=2), CPU).train_batches(0, 0, _steps(*[[0, 1]] * 50))
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert not multiprocessing.active_children()


def _touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (
            [],
            "data.root must be the folder that holds train/ and val/, got .*, which has no folder train; make",
        ),
        (["train/a/1.png"], "which has no folder val; make .*/val, or give data.root=/path/to/it"),
        (["train/a/1.png", "val/1.png"], "val must hold one folder per class, got none; move each image to"),
        (
            ["train/a/1.png", "train/b/x.txt", "val/a/1.png"],
            "every class needs at least one image, got none in .*/b ",
        ),
        (
            ["train/a/1.png", "train/b/1.png", "val/a/1.png"],
            "the same classes, got 2 and 1: .*/val has no b; add it",
        ),
        (
            ["train/a/1.png", "val/a/1.png", "val/b/1.png"],
            "the same classes, got 1 and 2: .*/train has no b; add it",
        ),
        (
            ["train/a/1.png", "val/a/1.png"],
            "data.num_classes must be .*, got 3 and 1 folders; give data.num_classes=1",
        ),
    ],
)
def test_bad_folders_are_one_clear_line(tmp_path, files, line):
    _touch(tmp_path, *files)
    with pytest.raises(ValueError, match=line) as caught:
        ImageFolder(_config(tmp_path), CPU)
    assert "\n" not in str(caught.value)


def test_a_bad_root_is_one_clear_line(tmp_path):
    _touch(tmp_path, "file")
    for root, line in (
        (None, "got none; data=photographs has no default, give data.root=/path/to/it"),
        (tmp_path / "gone", "got .*gone, which is not there; give data.root=/path/to/it"),
        (tmp_path / "file", "got .*file, which is no folder; give data.root=/path/to/it"),
    ):
        with pytest.raises(ValueError, match=rf"data.root must be the folder .*, {line}"):
            ImageFolder(_config(root), CPU)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"crop_area": None}, "data.crop_area is missing: kind imagefolder needs it"),
        ({"crop_area": (0.5, 1.5)}, r"data.crop_area must be .* at most 1, got \(0.5, 1.5\)"),
        ({"crop_aspect": (2.0, 1.0)}, "data.crop_aspect must be"),
        ({"jitter": -0.1}, "data.jitter must be in \\[0, 1\\], got -0.1"),
        ({"lighting": -1.0}, "data.lighting must not be negative, got -1.0"),
        ({"eval_resize": 31}, "data.eval_resize must be at least data.image_size=32, got 31"),
        (
            {"channels": 1, "mean": (0.5,), "std": (0.5,)},
            r"data.channels must be 3 for kind imagefolder, got 1",
        ),
        (
            {"name": "imagefolder"},
            "data.name must name your own images, .*, got imagefolder; give data.name=",
        ),
        ({"shift": 2}, "data.shift is not for kind imagefolder, got 2; leave it out"),
        (
            {"train_resize": (32, 40)},
            r"data.train_resize is not for kind imagefolder, got \(32, 40\); leave it out",
        ),
        (
            {"clip_length": 8, "clip_span": 16},
            "data.clip_length is not for kind imagefolder, got 8; leave it out",
        ),
        ({"num_clips": 10}, "data.num_clips is not for kind imagefolder, got 10; leave it out"),
        ({"test_crop": "full"}, "data.test_crop is not for kind imagefolder, got full; leave it out"),
    ],
)
def test_bad_settings_are_one_clear_line(root, changes, line):
    with pytest.raises(ValueError, match=line):
        ImageFolder(_config(root, **changes), CPU)
