"""Folders with every fault that a user's folder may have, through the verb."""

import re

import numpy as np
import pytest
from PIL import Image

from gnexp.cli.main import main

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture
def root(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(40):  # more than one chunk
                Image.fromarray(pixels).save(tmp_path / split / name / f"{index:02d}.jpg")
    return tmp_path


def test_a_good_folder(root, capfd):
    assert main(["data", "check", str(root), "processes=0"]) == 0
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        "train: 2 classes, 80 images",
        "val: 2 classes, 80 images",
        f"{root}: every file can be read",
    ]
    assert err == ""


def test_every_fault_is_one_line_with_its_path(root, capfd):
    train, val = root / "train" / "a", root / "val" / "b"
    (train / "00.jpg").write_bytes((train / "00.jpg").read_bytes()[:-100])
    (train / "01.jpg").write_bytes(b"")
    (train / "02.jpg").write_text("no image", encoding="utf-8")
    (train / "deep.png").parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(train / "deep.png")
    (val / "gone.jpg").symlink_to(root / "nowhere.jpg")
    (val / "notes.txt").write_text("passed over", encoding="utf-8")
    (root / "train" / "c").mkdir()
    Image.new("CMYK", (9, 9)).save(val / "inks.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (9, 9)).save(val / "turned.jpg", exif=exif)
    Image.new("RGB", (9, 9)).save(val / "short.jpg", exif=exif.tobytes()[:-6])
    (val / "deep").mkdir()
    moving = [Image.new("L", (9, 9), value) for value in (0, 255)]
    moving[0].save(val / "deep" / "a\nb.gif", save_all=True, append_images=moving[1:])
    assert main(["data", "check", f"data.root={root}", "processes=2"]) == 1
    assert capfd.readouterr().out.splitlines() == [
        f"bad   {root}/val: no class c, which train has",
        f"bad   {root}/train/c: a class without one image",
        f"bad   {train}/00.jpg: image file is truncated (50 bytes not processed)",
        f"bad   {train}/01.jpg: an empty file",
        f"bad   {train}/02.jpg: not an image that Pillow knows",
        f"bad   {train}/deep.png: its pixels are I;16, not 8-bit",
        "train: 3 classes, 81 images",
        f"bad   {val}/gone.jpg: No such file or directory",
        f"note  {val}/inks.jpg: CMYK, becomes RGB",
        f"note  {val}/short.jpg: Corrupt EXIF data. Expecting to read 12 bytes but only got 10",
        f"note  {val}/turned.jpg: orientation tag 6, ignored",
        f"note  {val}/deep/a\\nb.gif: P, becomes RGB; the first of its 2 pictures is taken",
        "val: 2 classes, 85 images, 1 other entry passed over, the first b/notes.txt",
        f"{root}: 7 bad",
    ]


def test_another_size_than_the_named_data_sets_is_bad(root, capfd):
    assert main(["data", "check", str(root), "data=imagenet", "processes=0"]) == 1
    assert capfd.readouterr().out.splitlines()[:4] == [
        f"bad   {root}/train: 2 classes, imagenet has 1000",
        f"bad   {root}/train: 80 images, imagenet has 1281167",
        f"bad   {root}/val: 2 classes, imagenet has 1000",
        f"bad   {root}/val: 80 images, imagenet has 50000",
    ]


def test_a_users_own_images_have_the_users_number_of_classes(root, capfd):
    words = ["data", "check", str(root), "processes=0", "data=imagefolder", "data.name=mine"]
    assert main([*words, "data.num_classes=2"]) == 0
    assert main(words) == 0
    assert main([*words, "data.num_classes=3"]) == 1
    assert f"bad   {root}/train: 2 classes, mine has 3" in capfd.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "gnexp data check ROOT, and gnexp data prepare NAME .* are all there is"),
        (["chek", "x"], "are all there is, got gnexp data chek"),
        (["check"], "which folder? gnexp data check ROOT"),
        (["check", "x", "process=2"], "unknown key process.*; did you mean processes?"),
        (["check", "x", "processes=two"], "processes must be a whole number, 0 or more, got two"),
        (
            ["check", "x", "data=cifar10"],
            "data=cifar10 says nothing of a folder's files, only .* kinds coco, ",
        ),
        (["check", "x", "data.num_classes=two"], "data.num_classes"),
        (["check", "/nowhere\nat/all"], r"got /nowhere\\nat/all, which is not there"),
        (["check", "/nowhere/at/all"], "got /nowhere/at/all, which is not there; give data.root="),
    ],
)
def test_a_mistake_is_one_clear_line(words, line, capfd):
    assert main(["data", *words]) == 2
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith("gnexp: error: ")
    assert re.search(line.replace("?", r"\?"), said), said
