"""Garments as a detection set in COCO's layout: what is in it, and that it is generated once and whole."""

import hashlib
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from gnexp.config import data_config
from gnexp.data.build import build_dataset
from gnexp.data.generated import fashion_coco, store
from gnexp.data.generated.fashion import NUM_HELD_OUT
from gnexp.data.generated.fashion_coco import CATEGORIES
from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.generated.pictures import SIDES, make_picture, resize

# pycocotools 2.0 under numpy 2, in its own mask code
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

CPU = torch.device("cpu")
GARMENTS = load_fashion_mnist()


def _config(root, **changes):
    settings = {
        "name": "fashion_coco",
        "kind": "fashion_coco",
        "image_size": 96,
        "min_size": 96,
        "max_size": 96,
        "num_train": 24,
        "num_val": 10,
        "exposure": 1.0,
        "val_source": "test",
        "flip": False,
        "root": None if root is None else str(root),
    }
    return data_config(**(settings | changes))


def _open(root, **changes):
    return build_dataset(_config(root, **changes), CPU)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("garments")
    _open(folder)
    return folder


def _folder(root) -> Path:
    (folder,) = (path for path in root.iterdir() if path.is_dir())
    return folder


def _picture(index, garments=None, exposure=0.0, split="train"):
    images = GARMENTS.train_images if garments is None else garments
    return make_picture(images, GARMENTS.train_labels, size=96, exposure=exposure, split=split, index=index)


def test_the_files_are_cocos_and_hold_what_the_pictures_hold(root, capfd):
    folder = _folder(root)
    sources = {
        "train": (GARMENTS.train_images[:-NUM_HELD_OUT], GARMENTS.train_labels[:-NUM_HELD_OUT]),
        "val": (GARMENTS.test_images, GARMENTS.test_labels),
    }
    for split, num in (("train", 24), ("val", 10)):
        path = folder / "annotations" / f"instances_{split}2017.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content.keys() == {"info", "licenses", "images", "annotations", "categories"}
        assert [category["name"] for category in content["categories"]] == list(CATEGORIES)
        for entry in content["annotations"]:
            assert entry.keys() == {
                "id",
                "image_id",
                "category_id",
                "bbox",
                "area",
                "iscrowd",
                "segmentation",
            }
        coco = COCO(str(path))
        capfd.readouterr()
        assert len(coco.imgs) == num
        for image_id, image in coco.imgs.items():
            picture = make_picture(*sources[split], size=96, exposure=1.0, split=split, index=image_id - 1)
            with Image.open(folder / f"{split}2017" / image["file_name"]) as stored:
                assert stored.mode == "L" and np.array_equal(np.array(stored), picture.pixels)
            assert (image["height"], image["width"]) == picture.pixels.shape
            entries = coco.imgToAnns[image_id]
            assert [entry["category_id"] - 1 for entry in entries] == picture.labels.tolist()
            for entry, mask in zip(entries, picture.masks, strict=True):
                assert np.array_equal(coco.annToMask(entry), mask)
                y, x = np.nonzero(mask)
                assert entry["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
                assert entry["area"] == mask.sum() >= 16


def test_the_dataset_gives_what_the_files_hold(tmp_path):
    dataset = _open(tmp_path)
    folder = _folder(tmp_path)
    assert (dataset.num_train, dataset.num_val, dataset.notes) == (24, 10, [])
    (batch,) = dataset.train_batches(0, 0, [np.array([5, 0])])
    assert [target["image_id"] for target in batch.labels] == [6, 1]
    for image, target in zip(batch.images, batch.labels, strict=True):
        stored = np.array(Image.open(folder / "train2017" / f"{target['image_id']:012}.png"))
        assert torch.equal(image, torch.from_numpy(stored)[None].float() / 255)
        assert target["masks"].shape == (len(target["labels"]), *stored.shape)
    for path in (folder / "train2017").iterdir():
        path.write_bytes(b"")  # they are in memory
    (again,) = dataset.train_batches(0, 0, [np.array([5, 0])])
    assert all(torch.equal(a, b) for a, b in zip(again.images, batch.images, strict=True))
    with pytest.raises(
        ValueError, match=f"cannot read the image .* an empty file; .* remove {folder}, and it is"
    ):
        _open(tmp_path)
    shutil.rmtree(folder)
    assert _open(tmp_path).fingerprint == dataset.fingerprint


def test_a_later_garment_hides_an_earlier_one():
    pictures = [_picture(index) for index in range(60)]
    assert {len(picture.labels) for picture in pictures} == {1, 2, 3, 4}
    shapes = [picture.pixels.shape for picture in pictures]
    assert set(shapes) == {(96, 96), (80, 96), (96, 80)} and 20 < shapes.count((96, 96)) < 40
    longest = []
    for picture in pictures:
        assert (picture.masks.sum(axis=0) <= 1).all()
        assert not picture.pixels[~picture.masks.any(axis=0)].all()
        for mask in picture.masks:
            y, x = np.nonzero(mask)
            longest.append(max(np.ptp(y), np.ptp(x)) + 1)
            # With no spread of the exposure, a garment is its own brightness on black.
            assert picture.pixels[mask].min() >= 16
    assert min(longest) < 20 and 38 < max(longest) <= SIDES[1]
    # Of the same images, one garment each: what is hidden there is whole here.
    white = np.full((10, 28, 28), 255, dtype=np.uint8)
    hidden = 0
    for index in range(60):
        picture = _picture(index, white)
        areas = picture.masks.sum(axis=(1, 2))
        assert round(areas[-1] ** 0.5) ** 2 == areas[-1]  # the last is a whole square
        hidden += sum(round(area**0.5) ** 2 != area for area in areas)
    assert hidden > 15


def test_exposures_differ_and_splits_draw_apart():
    images = [_picture(index, exposure=1.0) for index in range(40)]
    corners = [float(np.median(image.pixels)) for image in images]
    assert min(corners) < 30 and max(corners) > 200  # backgrounds, some of them reversed
    assert not np.array_equal(_picture(0).pixels, _picture(0, split="val").pixels)
    for index in range(5):  # the exposure moves nothing
        assert np.array_equal(_picture(index).masks, images[index].masks)


@pytest.mark.parametrize("side", [14, 21, 28, 44])
def test_resizing_keeps_flat_areas_means_and_symmetry(side):
    flat = np.full((28, 28), 201, dtype=np.uint8)
    assert (np.abs(resize(flat, side).astype(int) - 201) <= 1).all()
    image = GARMENTS.train_images[0]
    resized = resize(image, side)
    assert resized.shape == (side, side) and abs(float(resized.mean()) - float(image.mean())) < 3
    assert np.array_equal(resize(image.T, side), resized.T)
    assert (np.abs(resize(image[:, ::-1], side)[:, ::-1].astype(int) - resized) <= 1).all()
    if side == 28:
        assert np.array_equal(resized, image)


def test_what_is_made_is_pinned():
    """The pixels and masks of every machine; the whole set's sha256 stands in conf/data/fashion_coco.yaml."""
    digest = hashlib.sha256()
    for index in range(8):
        picture = _picture(index, exposure=1.0)
        digest.update(picture.pixels.tobytes() + picture.masks.tobytes() + picture.labels.tobytes())
    assert digest.hexdigest() == "5e95783c52bc9dd05517a8b0cdca052a45a82178f0355bc97fb8cb162af96d83"


def test_a_picture_does_not_depend_on_how_many_there_are(root, tmp_path):
    few, more = _open(tmp_path, num_train=3, num_val=2), _open(root)
    for one, other in (
        (few.train_batches(0, 0, [np.arange(3)]), more.train_batches(0, 0, [np.arange(3)])),
        (few.val_batches([np.arange(2)]), more.val_batches([np.arange(2)])),
    ):
        for a, b in zip(next(one).images, next(other).images, strict=True):
            assert torch.equal(a, b)
    assert few.fingerprint != more.fingerprint


def test_val_source_train_leaves_training_as_it_is_and_takes_other_garments(root, tmp_path):
    held, test = _open(tmp_path, val_source="train"), _open(root)
    for a, b in zip(
        next(held.train_batches(0, 0, [np.arange(24)])).images,
        next(test.train_batches(0, 0, [np.arange(24)])).images,
        strict=True,
    ):
        assert torch.equal(a, b)
    picture = make_picture(
        GARMENTS.train_images[-NUM_HELD_OUT:],
        GARMENTS.train_labels[-NUM_HELD_OUT:],
        size=96,
        exposure=1.0,
        split="val",
        index=0,
    )
    first = next(held.val_batches([np.arange(1)])).images[0][0]
    assert np.array_equal((first * 255).round().byte().numpy(), picture.pixels)
    assert not torch.equal(first, next(test.val_batches([np.arange(1)])).images[0][0])


def test_each_setting_has_a_folder_of_its_own(tmp_path):
    for changes in ({}, {"exposure": 0.5}, {"image_size": 90}, {"num_val": 2}, {"val_source": "train"}):
        _open(tmp_path, **({"num_train": 2, "num_val": 1} | changes))
    folders = [path.name for path in tmp_path.iterdir() if path.is_dir()]
    assert len(folders) == 5
    _open(tmp_path, num_train=2, num_val=1, flip=True, val_source=None, sha256=None)  # the first's images
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 5


def test_sha256_is_checked_when_made_and_when_opened(root, tmp_path):
    fingerprint = _open(root).fingerprint
    assert _open(root, sha256=fingerprint).fingerprint == fingerprint
    for folder in (root, tmp_path):
        with pytest.raises(
            ValueError, match=rf"gave images with sha256 {fingerprint}, its config expects abc; give"
        ):
            _open(folder, sha256="abc")
    image = _folder(tmp_path) / "val2017" / f"{1:012}.png"
    pixels = np.array(Image.open(image))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(image)
    with pytest.raises(ValueError, match=f"its config expects {fingerprint}; .* remove {_folder(tmp_path)}"):
        _open(tmp_path, sha256=fingerprint)


def test_runs_that_start_together_make_it_once(tmp_path, monkeypatch):
    """Threads stand for processes: the lock is of an open file, whoever holds it."""
    filled, whole = [], fashion_coco._fill

    def fill(place, config):
        filled.append(place)
        time.sleep(0.2)  # the others come meanwhile
        whole(place, config)

    monkeypatch.setattr(fashion_coco, "_fill", fill)
    with ThreadPoolExecutor(3) as threads:
        opened = list(threads.map(_open, [tmp_path] * 3))
    assert len({dataset.fingerprint for dataset in opened}) == 1
    assert len(filled) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".make.lock", _folder(tmp_path).name]


def test_it_is_seen_whole_or_not_at_all(tmp_path, monkeypatch):
    """Until the one renaming, nothing stands under the name that others look for."""
    seen, rename = [], store.os.rename

    def look(source, target):
        files = sorted(path.name for path in source.rglob("*") if path.is_file())
        seen.append((target.exists(), len(files)))
        rename(source, target)

    monkeypatch.setattr(store.os, "rename", look)
    _open(tmp_path)
    assert seen == [(False, 24 + 10 + 2)]


def test_what_fails_half_way_leaves_nothing_and_a_killed_runs_rest_is_removed(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "save", fail)
        with pytest.raises(
            ValueError, match="data.root must be a folder that can be written, .*: No space left"
        ):
            _open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".make.lock"]
    rest = tmp_path / ".2-1-abc.99.tmp"
    (rest / "train2017").mkdir(parents=True)
    _open(tmp_path, num_train=2, num_val=1)
    assert not rest.exists()


def test_no_bar_is_drawn_where_there_is_no_terminal(tmp_path, capfd):
    _open(tmp_path, num_train=2, num_val=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"root": None}, "data.root must be given for kind fashion_coco, got none"),
        ({"num_train": None}, "data.num_train must be given for kind fashion_coco, got none"),
        ({"image_size": 52}, "data.image_size must be at least 53 for garments of up to 44 pixels, got 52"),
        ({"num_classes": 9}, "data.num_classes must be 10 for kind fashion_coco, got 9"),
        (
            {"channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3},
            "data.channels must be 1 for kind fashion_coco, got 3",
        ),
        ({"clutter": 2}, "data.clutter is not for kind fashion_coco, got 2"),
    ],
)
def test_bad_settings_are_one_clear_line(tmp_path, changes, line):
    with pytest.raises(ValueError, match=line):
        _open(changes.pop("root", tmp_path), **changes)


def test_a_root_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        ValueError, match="data.root must be a folder that can be written, got .*file: File exists"
    ):
        _open(tmp_path / "file")
