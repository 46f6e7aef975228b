"""COCO's layout: real files as a Dataset, grouping by aspect, and every way to be broken."""

import json
import multiprocessing
import os
import random
import re
import shutil
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from gnexp.config import data_config
from gnexp.data.build import build_dataset
from gnexp.data.coco.dataset import group_by_aspect
from gnexp.data.loader import num_steps, train_batches
from gnexp.ops import keyed
from tests.data.annotations import annotations_path, write_coco

# pycocotools 2.0 under numpy 2, in its own mask code
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

CPU = torch.device("cpu")


def _config(root, **changes):
    settings = {
        "name": "photographs",
        "kind": "coco",
        "root": None if root is None else str(root),
        "image_size": 32,
        "min_size": 32,
        "max_size": 64,
        "channels": 3,
        "num_classes": 4,
        "mean": (0.485, 0.456, 0.406)[: changes.get("channels", 3)],
        "std": (0.229, 0.224, 0.225)[: changes.get("channels", 3)],
        "flip": False,
        "loader_workers": 0,
    }
    return data_config(**(settings | changes))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    write_coco(folder)
    return folder


def _open(root, **changes):
    return build_dataset(_config(root, **changes), CPU)


def _train(dataset, seed=0, epoch=0, indices=None):
    indices = np.arange(dataset.num_train) if indices is None else np.array(indices)
    (batch,) = dataset.train_batches(seed, epoch, [indices])
    return batch


def _coco(root, split, capfd):
    coco = COCO(str(annotations_path(root, split)))
    capfd.readouterr()
    return coco


def _resized(masks):
    """Masks, (n, H, W), as torchvision's transform resizes them with the image."""
    height, width = masks.shape[1:]
    scale = min(32 / min(height, width), 64 / max(height, width))
    size = int(height * scale), int(width * scale)
    return torch.nn.functional.interpolate(masks[:, None].float(), size)[:, 0].byte()


def _assert_equal(one, other):
    for a, b in zip(one.images, other.images, strict=True):
        assert torch.equal(a, b)
    for a, b in zip(one.labels, other.labels, strict=True):
        assert a.keys() == b.keys() and a["image_id"] == b["image_id"]
        assert all(torch.equal(a[key], b[key]) for key in a if key != "image_id")


def test_a_batch_is_what_pycocotools_reads(root, capfd):
    dataset, category_ids = _open(root), [1, 2, 3, 90]
    coco = _coco(root, "train", capfd)
    batch = _train(dataset)
    # 1 has no annotation, 7 only a crowd and a box without width.
    assert [target["image_id"] for target in batch.labels] == [100, 106, 109, 112, 115, 118]
    assert dataset.notes == ["2 training images have no usable annotation and are left out"]
    assert dataset.category_ids == (1, 2, 3, 90)
    for image, target in zip(batch.images, batch.labels, strict=True):
        path = root / "train2017" / coco.imgs[target["image_id"]]["file_name"]
        pixels = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
        assert image.dtype == torch.float32 and torch.equal(image, pixels.float() / 255)
        entries = [a for a in coco.imgToAnns[target["image_id"]] if not a["iscrowd"]]
        assert target.keys() == {"boxes", "labels", "masks", "image_id"}
        assert target["boxes"].dtype == torch.float32 and target["labels"].dtype == torch.int64
        corners = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in entries)]
        torch.testing.assert_close(target["boxes"], torch.tensor(corners))
        assert [category_ids[label - 1] for label in target["labels"]] == [a["category_id"] for a in entries]
        assert target["masks"].dtype == torch.uint8
        masks = torch.from_numpy(np.stack([coco.annToMask(a) for a in entries]))
        assert torch.equal(target["masks"], _resized(masks))


def test_val_has_every_image_and_the_files_own_ground_truth(root):
    dataset = _open(root)
    (batch,) = dataset.val_batches([np.arange(8)])
    assert [target["image_id"] for target in batch.labels] == list(range(100, 122, 3))
    for empty in (1, 7):
        target = batch.labels[empty]
        assert target["boxes"].shape == (0, 4) and target["labels"].shape == (0,)
        assert list(dataset.val_masks(empty)) == []
    for i, target in enumerate(batch.labels):  # masks are decoded for pictures alone
        assert target.keys() == {"boxes", "labels", "image_id"}
        masks = dataset.val_masks(i)
        assert [mask.shape for mask in masks] == [batch.images[i].shape[1:]] * len(target["boxes"])
    written = json.loads(annotations_path(root, "val").read_text(encoding="utf-8"))
    assert dataset.ground_truth() == written
    assert sum(entry["iscrowd"] for entry in written["annotations"]) == 7
    some = _open(root, num_val=3).ground_truth()
    assert {image["id"] for image in some["images"]} == {100, 103, 106}
    assert {entry["image_id"] for entry in some["annotations"]} == {100, 106}
    assert some["categories"] == written["categories"]


def test_a_flip_mirrors_image_boxes_and_masks(root):
    """Mirrored first and resized then, as when the model resized the masks."""
    whole = _open(root, image_size=40, min_size=40, max_size=40)  # which is no resizing
    straight, maybe = (_train(_open(root, flip=flip), seed=3, epoch=2) for flip in (False, True))
    expected = keyed.uniform(3, "augment", 2, np.arange(6))[:, 0] < 0.5
    assert 0 < expected.sum() < 6
    for i, is_flipped in enumerate(expected):
        if is_flipped:
            assert torch.equal(maybe.images[i], straight.images[i].flip(2))
            full = _train(whole, indices=[i]).labels[0]["masks"]
            assert torch.equal(maybe.labels[i]["masks"], _resized(full.flip(2)))
            width = straight.images[i].shape[2]
            for (x1, y1, x2, y2), (a1, b1, a2, b2) in zip(
                straight.labels[i]["boxes"].tolist(), maybe.labels[i]["boxes"].tolist(), strict=True
            ):
                assert (a1, b1, a2, b2) == pytest.approx((width - x2, y1, width - x1, y2), abs=1e-5)
        else:
            assert torch.equal(maybe.images[i], straight.images[i])
            assert torch.equal(maybe.labels[i]["boxes"], straight.labels[i]["boxes"])


def test_a_run_length_mask_fills_its_box_flipped_or_not(root):
    for flip in (False, True):
        for epoch in range(4):
            dataset = _open(root, flip=flip, image_size=40, min_size=40, max_size=40)
            for target in _train(dataset, epoch=epoch).labels:
                y, x = np.nonzero(target["masks"][1].numpy())  # of 30 x 40 and 40 x 30 pixels
                edges = [x.min(), y.min(), x.max() + 1, y.max() + 1]
                assert target["boxes"][1].tolist() == edges


def test_a_sample_is_a_function_of_seed_epoch_and_index(root):
    dataset = _open(root, flip=True)
    together = _train(dataset, seed=1)
    for index in (5, 0, 3):
        alone = _train(dataset, seed=1, indices=[index])
        assert torch.equal(alone.images[0], together.images[index])
        assert torch.equal(alone.labels[0]["masks"], together.labels[index]["masks"])
    for seed, epoch in ((2, 0), (1, 1)):
        others = _train(dataset, seed, epoch).images
        assert any(not torch.equal(a, b) for a, b in zip(others, together.images, strict=True))


def test_loader_processes_change_no_bit_and_global_random_state_is_untouched(root):
    legacy = np.random.get_state()
    states = random.getstate(), legacy[1].tobytes(), torch.get_rng_state().tolist()
    steps = [np.array([0, 5]), np.array([3]), np.array([1, 2, 4])]
    alone, helped = (_open(root, flip=True, loader_workers=workers) for workers in (0, 2))
    for one, other in zip(alone.train_batches(7, 1, steps), helped.train_batches(7, 1, steps), strict=True):
        _assert_equal(one, other)
        assert np.array_equal(one.indices, other.indices)
    for one, other in zip(alone.val_batches(steps), helped.val_batches(steps), strict=True):
        _assert_equal(one, other)
    assert not multiprocessing.active_children()
    assert (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()) == states


def test_one_channel_is_gray(root):
    gray, color = (_train(_open(root, channels=channels)).images for channels in (1, 3))
    for one, three in zip(gray, color, strict=True):
        assert one.shape == (1, *three.shape[1:])
        luma = (three * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0)
        torch.testing.assert_close(one[0], luma, rtol=0, atol=1 / 255)


def test_many_instances_of_a_large_image_take_the_memory_of_one(tmp_path):
    """Rasterised one after the other and kept at the training size; in evaluation not at all."""
    write_coco(tmp_path, num=2)
    height, width, num = 600, 800, 60
    outline = [[1, 1, 90, 1, 90, 90, 1, 90]]

    def enlarge(content):
        image = content["images"][-1] | {"height": height, "width": width}
        entry = content["annotations"][0] | {"bbox": [1, 1, 89, 89], "segmentation": outline}
        content["images"] = [image]
        content["annotations"] = [
            entry | {"id": i, "image_id": image["id"], "iscrowd": 0} for i in range(num)
        ]

    pixels = Image.fromarray(np.zeros((height, width, 3), dtype=np.uint8))
    for split in ("train", "val"):
        _mend(tmp_path, split, enlarge)
        pixels.save(tmp_path / f"{split}2017" / f"{0:012}.png")
    dataset = _open(tmp_path)
    batches = (dataset.train_batches(0, 0, [np.arange(1)]), dataset.val_batches([np.arange(1)]))
    image = 4 * 3 * height * width  # in floating point
    for batch in batches:
        tracemalloc.start()
        (target,) = next(batch).labels
        assert tracemalloc.get_traced_memory()[1] < 2.5 * image < num * height * width
        tracemalloc.stop()
        assert len(target["boxes"]) == num
        assert ("masks" in target) == (batch is batches[0])


def test_counts_are_of_usable_images_and_others_than_expected_are_noted(root):
    assert _open(root, num_train=2).num_train == 2 and _open(root, num_val=5).num_val == 5
    for changes, line in (({"num_train": 7}, "data.num_train must be between 1 and 6, .*, got 7"),
                          ({"num_val": 9}, "data.num_val must be between 1 and 8, .*, got 9")):  # fmt: skip
        with pytest.raises(ValueError, match=line):
            _open(root, **changes)
    notes = _open(root, expected_train=118_287, expected_val=8).notes
    assert notes[1:] == [f"photographs has 118287 train images, {annotations_path(root, 'train')} names 8"]


def test_a_box_of_which_its_image_has_nothing_is_not_used(root, tmp_path):
    """Rounding may put a box a pixel beyond the border: cut to the image it has no width, which training refuses."""
    shutil.copytree(root, tmp_path / "coco")
    path = annotations_path(tmp_path / "coco", "train")
    content = json.loads(path.read_text(encoding="utf-8"))
    image = next(image for image in content["images"] if image["id"] == 103)  # without annotations
    entry = content["annotations"][0] | {"id": 9999, "image_id": 103, "iscrowd": 0, "area": 4.0}
    content["annotations"].append(entry | {"bbox": [image["width"], 3, 1, 4]})
    path.write_text(json.dumps(content), encoding="utf-8")
    assert _open(tmp_path / "coco").num_train == _open(root).num_train


def test_the_fingerprint_is_of_annotations_names_and_sizes(root, tmp_path):
    first = _open(root).fingerprint
    assert _open(root, sha256=first, num_train=2).fingerprint == first
    with pytest.raises(ValueError, match=rf"data.sha256 must be .* got abc, they have {first}; mend"):
        _open(root, sha256="abc")
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    assert _open(tmp_path).fingerprint == first
    with open(tmp_path / "val2017" / f"{3:012}.png", "ab") as file:
        file.write(b"\0")
    longer = _open(tmp_path).fingerprint
    path = annotations_path(tmp_path, "val")
    path.write_text(path.read_text(encoding="utf-8").replace("supercategory", "superclass"), encoding="utf-8")
    assert len({first, longer, _open(tmp_path).fingerprint}) == 3


def test_an_image_may_have_a_name_of_any_bytes(tmp_path):
    """A script that lists a folder and dumps JSON writes the bytes that are no UTF-8 as surrogates."""
    write_coco(tmp_path, num=4)
    name = os.fsdecode(b"caf\xe9\n.png")
    path = annotations_path(tmp_path, "train")
    content = json.loads(path.read_text(encoding="utf-8"))
    old, content["images"][-1]["file_name"] = content["images"][-1]["file_name"], name
    path.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "train2017" / old).rename(tmp_path / "train2017" / name)
    dataset = _open(tmp_path)
    assert len(next(iter(dataset.train_batches(0, 0, [np.arange(dataset.num_train)]))).images) == 2


@pytest.mark.parametrize("total_batch", [1, 2, 3, 8])
def test_grouping_makes_whole_batches_of_one_orientation(total_batch):
    rng = np.random.default_rng(total_batch)
    is_wide = rng.random(101) < 0.7
    order = rng.permutation(101)
    grouped = group_by_aspect(order, is_wide, total_batch)
    assert len(set(grouped.tolist())) == len(grouped) and len(grouped) % total_batch == 0
    kinds = is_wide[grouped].reshape(-1, total_batch)
    assert (kinds == kinds[:, :1]).all()
    left = set(range(101)) - set(grouped.tolist())
    assert all(sum(is_wide[i] == kind for i in left) < total_batch for kind in (True, False))
    place = np.argsort(order)
    for kind in (True, False):  # the order within an orientation is kept
        assert (np.diff(place[grouped[is_wide[grouped] == kind]]) > 0).all()
    lasts = place[grouped.reshape(-1, total_batch)[:, -1]]
    assert (np.diff(lasts) > 0).all()  # a batch comes when it is full
    if total_batch == 1:
        assert np.array_equal(grouped, order)


def test_grouping_can_leave_no_batch():
    assert group_by_aspect(np.arange(4), np.array([True, False, True, False]), 3).shape == (0,)


def test_the_loader_asks_for_grouped_batches(root):
    dataset = _open(root, flip=True)  # images 0, 2, 4, 6 are tall, 3 and 5 wide
    assert [num_steps(dataset, total) for total in (1, 2, 3, 4, 5)] == [6, 3, 1, 1, 0]
    orders = []
    for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0)):
        batches = list(train_batches(dataset, seed=seed, epoch=epoch, total_batch=2, workers=2))
        assert len(batches) == 3
        assert all(len({image.shape for image in batch.images}) == 1 for batch in batches)
        orders.append(np.concatenate([batch.indices for batch in batches]).tolist())
        assert sorted(orders[-1]) == list(range(6))
    assert orders[0] == orders[1] and orders[0] != orders[2] and orders[0] != orders[3]


def _mend(root, split, change):
    path = annotations_path(root, split)
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def _annotation(**changes):
    def change(content):
        assert content["annotations"][0]["id"] == 500
        content["annotations"][0].update(changes)

    return change


def _image(**changes):
    def change(content):
        (image,) = (image for image in content["images"] if image["id"] == 100)
        image.update(changes)

    return change


BROKEN = {
    "box outside": (
        _annotation(bbox=[20, 5, 15, 5]),
        r"annotation 500: bbox \[20, 5, 15, 5\] reaches outside image 100, which has 30 x 40 pixels",
    ),
    "box before": (_annotation(bbox=[-5, 5, 15, 5]), "annotation 500: bbox .* reaches outside image 100"),
    "negative box": (
        _annotation(bbox=[5, 5, -1, 5]),
        r"annotation 500: bbox must be \[x, y, width, height\]",
    ),
    "short box": (_annotation(bbox=[5, 5, 1]), r"annotation 500: bbox must be \[x, y, width, height\]"),
    "huge box": (
        _annotation(bbox=[5, 5, 10**400, 1]),
        r"annotation 500: bbox must be \[x, y, width, height\]",
    ),
    "text box": (_annotation(bbox="all"), r"annotation 500: bbox must be \[x, y, width, height\]"),
    "no area": (_annotation(area=None), "annotation 500: area must be a number of pixels, got None"),
    "crowd": (_annotation(iscrowd="no"), "annotation 500: iscrowd must be 0 or 1, got 'no'"),
    "category": (_annotation(category_id=4), "annotation 500: category_id is 4, which no category has"),
    "category list": (
        _annotation(category_id=[1]),
        r"annotation 500: category_id is \[1\], which no category has",
    ),
    "image": (_annotation(image_id=7), "annotation 500: image_id is 7, which no image has"),
    "id": (_annotation(id=None), "annotation at place 0: its id must be a whole number, got None"),
    "twice": (_annotation(id=501), "annotation 501: is there twice"),
    "no polygon": (
        _annotation(segmentation=[]),
        r"annotation 500: segmentation must be polygons or run lengths, got \[\]; .* data.masks=false for boxes alone",
    ),
    "two points": (
        _annotation(segmentation=[[1, 2, 3, 4]]),
        "annotation 500: a polygon must be .* at least 3 points",
    ),
    "odd": (_annotation(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "annotation 500: a polygon must be"),
    "text": (_annotation(segmentation=[[1, 2, 3, 4, 5, "6"]]), "annotation 500: a polygon must be"),
    "far": (
        _annotation(segmentation=[[1, 2, 3, 4, 1e8, 6]]),
        "annotation 500: a polygon of .* reaches outside its image",
    ),
    "size": (
        _annotation(segmentation={"size": [30, 40], "counts": "01"}),
        r"annotation 500: segmentation's size must be its image's \[40, 30\]",
    ),
    "counts": (
        _annotation(segmentation={"size": [40, 30], "counts": "abc"}),
        "annotation 500: segmentation's counts are no run lengths",
    ),
    "sum": (
        _annotation(segmentation={"size": [40, 30], "counts": [1199]}),
        "annotation 500: segmentation's counts are no run lengths",
    ),
    "minus": (
        _annotation(segmentation={"size": [40, 30], "counts": [-1, 1201]}),
        "annotation 500: segmentation's counts are no run lengths",
    ),
    "missing": (
        _image(file_name="gone.jpg"),
        "image 100: its file .*/val2017/gone.jpg is missing; put it there, or remove",
    ),
    "absolute": (
        _image(file_name="/etc/passwd"),
        "image 100: file_name must be the name of a file below val2017/, got '/etc/passwd'",
    ),
    "above": (
        _image(file_name="../train2017/000000000000.png"),
        "image 100: file_name must be the name",
    ),
    "dots": (_image(file_name=".."), "image 100: file_name must be the name"),
    "no name": (_image(file_name=None), "image 100: file_name must be the name"),
    "outside": (_image(file_name="sub/../../x.png"), "image 100: file_name must be the name"),
    "width": (_image(width=30.0), "image 100: width must be a whole number of pixels, got 30.0"),
    "height": (_image(height=0), "image 100: height must be a whole number of pixels, got 0"),
    "no images": (
        lambda content: content.update(images=[]),
        "images: must be a list with at least one entry; mend the file",
    ),
    "no annotations": (
        lambda content: content.pop("annotations"),
        "annotations: must be a list with at least one entry",
    ),
    "entry": (
        lambda content: content["images"].append(3),
        "image at place 8: its id must be a whole number, got None",
    ),
    "names that are numbers": (
        lambda content: [category.update(name=category["id"] % 3) for category in content["categories"]],
        "category 1 is 'thing 1' in instances_train2017.json and '1' in instances_val2017.json",
    ),
    "other categories": (
        lambda content: content["categories"].append({"id": 91, "name": "x"}),
        "must have the same categories, got others: category 91 is in instances_val2017.json alone",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_annotation_is_one_clear_line_when_opened(root, tmp_path, case):
    change, line = BROKEN[case]
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    _mend(tmp_path, "val", change)
    with pytest.raises(ValueError, match=line) as caught:
        _open(tmp_path)
    assert str(annotations_path(tmp_path, "val")) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "mend" in str(caught.value) or "remove" in str(caught.value)
    if re.match("(image|annotation) ", line):
        assert "data.on_error=skip" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'{"images": [{"id": 1', "instances_val2017.json must be JSON, got .*; copy it again"),
        (b'{"images": NaN}', "must be JSON, got NaN, which is no number"),
        (b"\xff\xfe", "must be JSON, got "),
        (b"[" * 100_000, "must be JSON, got "),
        (b"[]", "must be a JSON object"),
        (None, "cannot read .*instances_val2017.json: No such file .*; data.root must hold train2017/"),
    ],
)
def test_a_torn_or_missing_annotation_file_is_one_clear_line(root, tmp_path, content, line):
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    path = annotations_path(tmp_path, "val")
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match=line) as caught:
        _open(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("loader_workers", [0, 1])
def test_an_image_that_is_not_what_its_entry_says_is_one_clear_line(root, tmp_path, loader_workers):
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "train2017" / f"{0:012}.png"
    Image.fromarray(np.zeros((41, 30, 3), dtype=np.uint8)).save(path)
    line = f"image 100: {path} has 30 x 41 pixels, its entry says 30 x 40; mend"
    with pytest.raises(ValueError, match=line):
        _train(_open(tmp_path, loader_workers=loader_workers))
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=f"cannot read the image {path}: not an image") as caught:
        _train(_open(tmp_path, loader_workers=loader_workers))
    assert "\n" not in str(caught.value)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"root": None}, "data.root must be the folder that holds train2017/, .* got none; data=photographs has no"),
        ({"num_classes": 80}, "data.num_classes must be .*, got 80 and 4; give data.num_classes=4"),
        ({"min_size": None}, "data.min_size is missing: kind coco needs it"),
        ({"image_size": 31}, "data.image_size must be data.min_size=32 for kind coco, got 31"),
        ({"shift": 1}, "data.shift is not for kind coco, got 1"),
        ({"max_skipped": 3}, "data.max_skipped is for data.on_error=skip, got 3"),
        ({"jitter": 0.4}, "data.jitter is not for kind coco, got 0.4"),
        ({"val_source": "train"}, "data.val_source is not for kind coco, got train"),
        ({"channels": 2, "mean": (0, 0), "std": (1, 1)}, r"data.channels must be 1 or 3, got 2"),
    ],
)  # fmt: skip
def test_bad_settings_are_one_clear_line(root, changes, line):
    with pytest.raises(ValueError, match=line):
        _open(changes.pop("root", root), **changes)


def test_sizes_belong_to_detection_alone():
    photographs = {
        "name": "x",
        "channels": 3,
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
        "crop_area": (0.1, 1.0),
        "crop_aspect": (1.0, 1.0),
        "eval_resize": 40,
    }
    for kind, settings, line in (
        ("fashion", {"image_size": 28}, "data.max_size is not for kind fashion, got 32; leave it out"),
        ("fashion_scenes", {}, "data.max_size is not for kind fashion_scenes, got 32; leave it out"),
        ("fashion_mnist", {}, "data.max_size is not for kind fashion_mnist, got 32; leave it out"),
        ("imagefolder", photographs, "data.max_size is not for kind imagefolder, got 32; leave it out"),
    ):
        with pytest.raises(ValueError, match=line):
            build_dataset(data_config(kind=kind, max_size=32, **settings), CPU)
    with pytest.raises(ValueError, match="data.min_size must be at most data.max_size=31, got 32"):
        data_config(kind="coco", min_size=32, max_size=31)
