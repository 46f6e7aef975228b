"""Odd COCO sets: what data.on_error=skip makes of them, boxes alone, folders in folders, crowds and categories."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gnexp.config import DataConfig, data_config
from gnexp.data.build import build_dataset
from gnexp.data.coco.dataset import Coco
from tests.data.annotations import annotations_path, write_coco
from tests.data.coco.test_coco import BROKEN

CPU = torch.device("cpu")
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_coco(tmp_path)
    return tmp_path


def config_of(root: Path, **changes: Any) -> DataConfig:
    settings: dict[str, Any] = {
        "name": "odd", "kind": "coco", "root": str(root), "image_size": 32, "min_size": 32, "max_size": 64,
        "channels": 3, "num_classes": 4, "mean": (0.5,) * 3, "std": (0.5,) * 3, "flip": False, "loader_workers": 0,
    }  # fmt: skip
    return data_config(**(settings | changes))


def opened(root: Path, **changes: Any) -> Coco:
    dataset = build_dataset(config_of(root, **changes), CPU)
    assert isinstance(dataset, Coco)
    return dataset


def mend(root: Path, split: str, change: Change) -> Path:
    path = annotations_path(root, split)
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def annotation(number: int, **changes: Any) -> Change:
    """A change of an annotation's entries; `...` takes one out."""

    def change(content: dict[str, Any]) -> None:
        entry = content["annotations"][number]
        entry.update(changes)
        content["annotations"][number] = {key: value for key, value in entry.items() if value is not ...}

    return change


def image(number: int, **changes: Any) -> Change:
    return lambda content: next(i for i in content["images"] if i["id"] == number).update(changes)


# Of an image of 30 x 40 pixels: what is odd of its first annotation, the box that is trained then, and what is told.
MENDED: dict[str, tuple[dict[str, Any], list[float], str]] = {
    "box before": (
        {"bbox": [-1.3, 2.25, 10.0, 12.5]},
        [0.0, 2.25, 8.7, 14.75],
        "mended: bbox [-1.3, 2.25, 10.0, 12.5] is cut to [0, 2.25, 8.7, 12.5]",
    ),
    "box behind": (
        {"bbox": [20, 30, 15, 15]},
        [20, 30, 30, 40],
        "mended: bbox [20, 30, 15, 15] is cut to [20, 30, 10, 10]",
    ),
    "one polygon of two points": (
        {"segmentation": [[1, 2, 3, 4], [1, 1, 9, 1, 9, 9, 1, 9]]},
        [1.5, 2.25, 11.5, 14.75],
        "mended: 1 of 2 polygons are none and dropped",
    ),
    "a polygon outside": (
        {"segmentation": [[-5, 1, 9, 1, 9, 9, -5, 9]]},
        [1.5, 2.25, 11.5, 14.75],
        "mended: a polygon is cut to its image",
    ),
    "no area": (
        {"area": None, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]},
        [1.5, 2.25, 11.5, 14.75],
        "mended: area is None, computed as 64",
    ),
    "no entry of area": (
        {"area": ..., "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]},
        [1.5, 2.25, 11.5, 14.75],
        "mended: area is None, computed as 64",
    ),
}


@pytest.mark.parametrize("case", MENDED)
def test_what_can_be_mended_is_and_is_listed(root: Path, case: str) -> None:
    changes, box, told = MENDED[case]
    path = mend(root, "train", annotation(0, **changes))
    mend(root, "val", annotation(0, **changes))
    with pytest.raises(ValueError, match=r"annotation 500: .*data.on_error=skip"):
        opened(root)
    dataset = opened(root, on_error="skip")
    val = annotations_path(root, "val")
    assert dataset.skipped == {f"{path}: annotation 500": told, f"{val}: annotation 500": told}
    (batch,) = dataset.train_batches(0, 0, [np.arange(1)])
    assert batch.labels[0]["boxes"][0].tolist() == pytest.approx(
        np.float32(box) * np.float32(32 / 30), rel=0.4
    )
    assert dataset._files["train"].boxes[0].tolist() == pytest.approx(box)
    (entry,) = (entry for entry in dataset.ground_truth()["annotations"] if entry["id"] == 500)
    assert entry["area"] > 0 and min(entry["bbox"]) >= 0
    assert opened(root, on_error="skip").skipped == dataset.skipped


@pytest.mark.parametrize(
    "case", [name for name, (_, line) in BROKEN.items() if line.startswith(("annotation ", "image "))]
)
def test_what_cannot_be_mended_is_left_out_and_listed(root: Path, case: str) -> None:
    """Whatever it is that training refuses; the same scores as of a file without it."""
    change, _ = BROKEN[case]
    path = mend(root, "val", change)
    dataset = opened(root, on_error="skip")
    assert len(dataset.skipped) == 1
    ((what, reason),) = dataset.skipped.items()
    assert what.startswith(f"{path}: ") and reason.startswith(("left out: ", "mended: "))
    truth = dataset.ground_truth()
    images = {entry["id"] for entry in truth["images"]}
    assert len(images) == dataset.num_val == len(truth["images"])
    assert {entry["image_id"] for entry in truth["annotations"]} <= images
    batches = list(dataset.val_batches([np.arange(dataset.num_val)]))
    assert {label["image_id"] for label in batches[0].labels} == images


def test_a_float_that_is_a_whole_number_is_a_side(root: Path) -> None:
    path = mend(root, "train", image(100, width=30.0))
    dataset = opened(root, on_error="skip")
    assert dataset.skipped == {f"{path}: image 100": "mended: width 30.0 is read as 30"}
    assert dataset.num_train == opened(root, on_error="skip", masks=False).num_train == 6


def test_an_image_that_is_left_out_takes_its_annotations_along(root: Path) -> None:
    path = mend(root, "val", image(100, file_name="gone.png"))
    dataset = opened(root, on_error="skip")
    assert list(dataset.skipped) == [f"{path}: image 100"]
    assert 100 not in {entry["image_id"] for entry in dataset.ground_truth()["annotations"]}


def test_more_than_max_skipped_is_one_line(root: Path) -> None:
    path = mend(
        root, "val", lambda content: [entry.update(area=None) for entry in content["annotations"][:3]]
    )
    assert len(opened(root, on_error="skip", max_skipped=3).skipped) == 3
    line = rf"more than data.max_skipped=2 entries are odd, 3 in all, the first {path}: annotation 500: mended: area"
    with pytest.raises(ValueError, match=line):
        opened(root, on_error="skip", max_skipped=2)


def test_skipping_changes_nothing_of_a_set_that_is_whole(root: Path) -> None:
    strict, lenient = opened(root), opened(root, on_error="skip")
    assert strict.fingerprint == lenient.fingerprint and lenient.skipped == {}
    assert strict.ground_truth() == lenient.ground_truth()


def without_masks(content: dict[str, Any]) -> None:
    for entry in content["annotations"]:
        entry["segmentation"] = []


def test_boxes_alone_need_no_mask(root: Path) -> None:
    whole = opened(root, masks=False)
    assert [note for note in whole.notes if "masks" in note] == [
        f"12 of 12 annotations in instances_{split}2017.json have masks, which data.masks=false leaves out"
        for split in ("train", "val")
    ]
    for split in ("train", "val"):
        mend(root, split, without_masks)
    line = r"instances_train2017.json: annotations: none has a mask; give data.masks=false for boxes alone"
    for on_error in (None, "skip"):
        with pytest.raises(ValueError, match=line):
            opened(root, on_error=on_error)
    boxes = opened(root, masks=False)
    assert not boxes.has_masks and len(boxes.notes) == 1
    (batch,) = boxes.train_batches(0, 0, [np.arange(6)])
    (same,) = whole.train_batches(0, 0, [np.arange(6)])
    for one, other in zip(batch.labels, same.labels, strict=True):
        assert one.keys() == {"boxes", "labels", "image_id"} == other.keys()
        assert torch.equal(one["boxes"], other["boxes"])


def test_some_with_a_mask_and_some_without_are_told(root: Path) -> None:
    path = mend(root, "train", annotation(0, segmentation=[]))
    with pytest.raises(
        ValueError, match=r"annotation 500: segmentation must be .*data.masks=false for boxes alone"
    ):
        opened(root)
    skipped = opened(root, on_error="skip").skipped
    assert skipped == {
        f"{path}: annotation 500": "left out: segmentation must be polygons or run lengths, got []"
    }
    assert "11 of 12 annotations in instances_train2017.json have masks" in " ".join(
        opened(root, masks=False).notes
    )


def test_images_in_folders_in_the_folder_are_read(root: Path) -> None:
    flat = opened(root)
    for split in ("train", "val"):
        (root / f"{split}2017" / "a" / "b").mkdir(parents=True)
        for number in (0, 3):
            name = f"{number:012}.png"
            shutil.move(root / f"{split}2017" / name, root / f"{split}2017" / "a" / "b" / name)
        mend(root, split, image(100, file_name=f"a/b/{0:012}.png"))
        mend(root, split, image(109, file_name=f"a/b/{3:012}.png"))
    nested = opened(root)
    steps = [np.arange(6)]
    (batch,) = nested.train_batches(0, 0, steps)
    names = ("a/b/000000000000", "000000000002", "a/b/000000000003")
    for pixels, name in zip(batch.images[:3], names, strict=True):
        stored = np.array(Image.open(root / "train2017" / f"{name}.png"))
        assert torch.equal(pixels, torch.from_numpy(stored).permute(2, 0, 1).float() / 255)
    assert nested.num_train == flat.num_train and nested.fingerprint != flat.fingerprint


def crowds(content: dict[str, Any]) -> None:
    for entry in content["annotations"]:
        entry["iscrowd"] = 1


@pytest.mark.parametrize(("split", "purpose"), [("train", "train"), ("val", "score")])
def test_crowds_alone_are_told_before_training(root: Path, split: str, purpose: str) -> None:
    path = mend(root, split, crowds)
    with pytest.raises(
        ValueError, match=rf"{path} must have an annotation to {purpose} on, got 20 crowd; mend it"
    ):
        opened(root)


def test_the_first_images_of_val_alone_may_have_nothing_to_score(root: Path) -> None:
    path = mend(root, "val", lambda content: content.update(annotations=content["annotations"][-5:]))
    assert opened(root).num_val == 8
    line = (
        rf"{path} must have an annotation to score on among its first 3 images, got none; raise data.num_val"
    )
    with pytest.raises(ValueError, match=line):
        opened(root, num_val=3)


def test_names_of_categories_are_compared(root: Path) -> None:
    def exchange(content: dict[str, Any]) -> None:
        names = {1: "thing 2", 2: "thing 1"}
        for category in content["categories"]:
            category["name"] = names.get(category["id"], category["name"])

    assert opened(root).class_names == ("thing 1", "thing 2", "thing 3", "thing 90")
    mend(root, "val", exchange)
    line = "category 1 is 'thing 1' in instances_train2017.json and 'thing 2' in instances_val2017.json; mend"
    with pytest.raises(ValueError, match=line):
        opened(root)


def test_a_category_without_a_name_is_called_after_its_id(root: Path) -> None:
    def nameless(*numbers: int) -> Change:
        return lambda content: [c.pop("name") for c in content["categories"] if c["id"] in numbers]

    mend(root, "train", nameless(1, 90))
    mend(root, "val", nameless(2, 90))
    dataset = opened(root)
    assert dataset.class_names == ("thing 1", "thing 2", "thing 3", "class 90")
    assert dataset.notes[-1].startswith("3 categories lack a name in train or val")


def test_a_turned_image_is_told_with_its_tag(root: Path) -> None:
    """The entry is right, as are its boxes: they are of the picture as it is shown."""
    path = root / "train2017" / f"{0:012}.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((30, 40, 3), dtype=np.uint8)).save(path, exif=exif)
    with pytest.raises(
        ValueError, match="EXIF's orientation tag 6, which is ignored, its entry says 30 x 40"
    ) as caught:
        list(opened(root).train_batches(0, 0, [np.arange(1)]))
    assert "leave the entry as it is" in str(caught.value) and "mend the entry" not in str(caught.value)
