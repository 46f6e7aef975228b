"""A folder in COCO's layout with every fault that it may have, through the verb."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gnexp.cli.main import main
from gnexp.data.checks.coco import survey_coco
from tests.data.annotations import annotations_path, write_coco
from tests.data.coco.test_coco import BROKEN

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    write_coco(folder)
    return folder


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tmp_path


def mend(root: Path, split: str, change) -> None:  # type: ignore[no-untyped-def]
    path = annotations_path(root, split)
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def check(root: Path, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    code = main(["data", "check", str(root), "data=coco", "data.name=mine", "processes=0", *words])
    captured = capfd.readouterr()
    assert captured.err == ""
    return code, captured.out.splitlines()


def test_a_good_folder(whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert check(whole, capfd, "data.num_classes=4") == (
        0,
        [
            f"note  {annotations_path(whole, 'train')}: 2 images without a usable annotation, left out of training",
            "train: 4 categories, 8 images, 12 usable annotations",
            "val: 4 categories, 8 images, 12 usable annotations",
            f"{whole}: every file can be read",
        ],
    )


def test_every_fault_is_one_line_that_says_where(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train = root / "train2017"

    def break_entries(content) -> None:  # type: ignore[no-untyped-def]
        content["annotations"][0]["bbox"] = [0, 0, 99, 5]
        content["annotations"][1]["category_id"] = 5
        image = next(image for image in content["images"] if image["id"] == 106)
        image["file_name"] = "gone.png"  # whose annotations are told of no more
        content["annotations"][8]["segmentation"] = []

    mend(root, "train", break_entries)
    mend(root, "val", lambda content: content["images"].append({"id": 100}))
    (train / f"{4:012}.png").write_bytes((train / f"{4:012}.png").read_bytes()[:-500])
    tall, fix = train / f"{6:012}.png", "mend or remove it, or give data.on_error=skip"
    Image.fromarray(np.zeros((41, 30, 3), dtype=np.uint8)).save(tall)
    Image.new("CMYK", (40, 30)).save(train / "inks.jpg")
    shutil.move(train / "inks.jpg", train / f"{5:012}.png")
    code, lines = check(root, capfd, "data.num_classes=3", "processes=2")
    file = annotations_path(root, "train")
    skip, boxes = "or give data.on_error=skip", "data.masks=false for boxes alone"
    assert code == 1
    assert lines == [
        f"bad   {file}: 4 categories, mine has 3",
        f"bad   {annotations_path(root, 'val')}: 4 categories, mine has 3",
        f"bad   {file}: image 106: its file {train / 'gone.png'} is missing; put it there, or remove the entry, {skip}",
        f"bad   {file}: annotation 500: bbox [0, 0, 99, 5] reaches outside image 100, which has 30 x 40 pixels; {fix}",
        f"bad   {file}: annotation 501: category_id is 5, which no category has; {fix}",
        f"bad   {file}: annotation 508: segmentation must be polygons or run lengths, got []; {fix}, or {boxes}",
        f"note  {file}: 3 images without a usable annotation, left out of training",
        f"bad   {train / f'{4:012}.png'}: image file is truncated",
        f"note  {train / f'{5:012}.png'}: CMYK, becomes RGB",
        f"bad   {file}: image 118: {tall} has 30 x 41 pixels, its entry says 30 x 40; mend the entry, or the file",
        "train: 4 categories, 7 images, 8 usable annotations, 1 other files passed over",
        f"bad   {annotations_path(root, 'val')}: image 100: is there twice; {fix}",
        "val: 4 categories, 8 images, 12 usable annotations",
        f"{root}: 9 bad",
    ]


@pytest.mark.parametrize("case", BROKEN)
def test_what_training_refuses_the_check_names(whole: Path, root: Path, case: str) -> None:
    """And nothing that it does not refuse."""
    change, line = BROKEN[case]
    mend(root, "val", change)
    survey = survey_coco(str(root))
    found = [*survey.findings, *survey.splits["val"].findings]
    assert [finding.path for finding in found] == [str(annotations_path(root, "val"))]
    if case != "other categories":
        assert re.search(line, found[0].reason)
    assert found[0].is_bad and "\n" not in found[0].reason
    assert [finding.is_bad for finding in survey.splits["train"].findings] == [False]


def test_a_string_id_and_a_second_one_hide_nothing(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The check goes on where training stops."""

    def break_ids(content) -> None:  # type: ignore[no-untyped-def]
        content["images"][0]["id"] = "121"  # the last one, which has nothing usable
        content["annotations"][1]["id"] = 500
        content["annotations"][2]["id"] = None
        content["annotations"][3]["area"] = -1

    mend(root, "val", break_ids)
    code, lines = check(root, capfd)
    file, fix = annotations_path(root, "val"), "mend or remove it, or give data.on_error=skip"
    assert code == 1
    assert [line for line in lines if str(file) in line] == [
        f"bad   {file}: image at place 0: its id must be a whole number, got '121'; {fix}",
        f"bad   {file}: annotation 500: is there twice; {fix}",
        f"bad   {file}: annotation at place 2: its id must be a whole number, got None; {fix}",
        f"bad   {file}: annotation 503: area must be a number of pixels, got -1; {fix}",
        *(
            f"bad   {file}: annotation {number}: image_id is 121, which no image has; {fix}"
            for number in (518, 519)
        ),
    ]
    assert lines[-2] == "val: 4 categories, 7 images, 10 usable annotations, 1 other files passed over"


def test_other_names_of_categories_are_bad_and_missing_ones_noted(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def rename(content) -> None:  # type: ignore[no-untyped-def]
        content["categories"][0]["name"] = "cat"
        del content["categories"][1]["name"]

    mend(root, "val", rename)
    code, lines = check(root, capfd)
    file = annotations_path(root, "val")
    assert code == 1
    assert lines[0] == (
        f"bad   {file}: other categories than instances_train2017.json: category 90 is 'thing 90' in "
        "instances_train2017.json and 'cat' in instances_val2017.json"
    )
    assert f"note  {file}: category 3 has no name" in lines


def test_a_set_of_boxes_alone_and_of_crowds_alone(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mend(root, "train", lambda content: [entry.pop("segmentation") for entry in content["annotations"]])
    mend(root, "val", lambda content: [entry.update(iscrowd=1) for entry in content["annotations"]])
    code, lines = check(root, capfd)
    train, val = (annotations_path(root, split) for split in ("train", "val"))
    assert code == 1
    assert (
        lines[0] == f"note  {train}: none has a mask; give data.masks=false for boxes alone, or mend the file"
    )
    assert f"bad   {val}: no usable annotation (it has 20 crowd), so there is nothing to score" in lines
    assert lines[-1] == f"{root}: 1 bad"


def test_nothing_to_train_on_is_bad(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mend(root, "train", lambda content: [entry.update(iscrowd=1) for entry in content["annotations"]])
    code, lines = check(root, capfd)
    file = annotations_path(root, "train")
    assert code == 1
    assert lines[0] == (
        f"bad   {file}: no usable annotation (it has 20 crowd), so there is nothing to train on"
    )
    assert lines[-1] == f"{root}: 1 bad"


def test_a_torn_file_is_named_once(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = annotations_path(root, "train")
    file.write_text(file.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    code, lines = check(root, capfd)
    assert code == 1
    assert lines[0].startswith(f"bad   {file}: must be JSON, got ")


def test_files_that_no_entry_names_are_counted_by_name(root: Path) -> None:
    name = f"{0:012}.png"
    (root / "train2017" / name).rename(root / "train2017" / f".{name}")  # hidden, and named by an entry
    mend(root, "train", lambda content: content["images"][-1].update(file_name=f".{name}"))
    assert "other files" not in survey_coco(str(root)).splits["train"].summary
    (root / "train2017" / "notes.txt").touch()
    assert "1 other files passed over" in survey_coco(str(root)).splits["train"].summary


def test_another_size_than_cocos_is_bad(whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(whole), "data=coco", "processes=0"]) == 1
    file = annotations_path(whole, "train")
    assert capfd.readouterr().out.splitlines()[:2] == [
        f"bad   {file}: 4 categories, coco has 80",
        f"bad   {file}: 8 images, coco has 118287",
    ]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("annotations", "which has no folder annotations; make"),
        ("val2017", "which has no folder val2017; make"),
        (".", "which is not there; give data.root="),
    ],
)
def test_a_folder_of_another_layout_is_one_clear_line(
    root: Path, capfd: pytest.CaptureFixture[str], name: str, line: str
) -> None:
    shutil.rmtree(root / name)
    assert main(["data", "check", str(root), "data=coco"]) == 2
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith(
        "gnexp: error: data.root must be the folder that holds train2017/, val2017/ and annotations/"
    )
    assert line in said
