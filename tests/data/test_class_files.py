"""The list of a split's files: order, compactness, fingerprint, and what it refuses."""

import os

import numpy as np
import pytest
import torchvision
from torchvision.datasets.folder import IMG_EXTENSIONS

from gnexp.data.class_files import scan_classes


def _make(root, tree):
    for name, size in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return str(root)


TREE = {"b/2.JPEG": 5, "b/10.jpg": 6, "a/é x.png": 7, "a-b/1.webp": 8, "b/1.bmp": 9}


def test_files_are_sorted_by_class_and_name(tmp_path):
    others = {
        "a/notes.txt": 1,
        "a/.hidden.png": 1,
        ".cache/1.png": 1,
        "stray.png": 1,
    }
    folder = _make(tmp_path, TREE | others)
    files = scan_classes(folder)
    assert files.classes == (b"a", b"a-b", b"b")
    assert [os.path.relpath(files.path(i), folder) for i in range(len(files.labels))] == [
        "a/é x.png",
        "a-b/1.webp",
        "b/1.bmp",
        "b/10.jpg",
        "b/2.JPEG",
    ]
    assert files.labels.tolist() == [0, 1, 2, 2, 2]
    assert files.others.line(tmp_path) == "4 other entries passed over, the first .cache"


def test_folders_below_a_class_are_read_as_torchvision_reads_them(tmp_path):
    suffixes = [suffix for suffix in IMG_EXTENSIONS if suffix != ".jpg"]
    tree = {f"a/{i}{suffix}": 1 for i, suffix in enumerate(suffixes)}
    deep = ["a/z.jpg", "a/sub/9.jpg", "a/sub/0.JPG", "a/sub-b/1.png", "a/sub/sub/1.png", "b/x.png/1.png"]
    folder = _make(tmp_path, tree | dict.fromkeys(deep, 1) | {"b/x.png/notes.txt": 1})
    files = scan_classes(folder)
    found = [(files.path(i), label) for i, label in enumerate(files.labels.tolist())]
    assert found == torchvision.datasets.ImageFolder(folder).samples
    assert files.others.line(tmp_path) == "1 other entry passed over, the first b/x.png/notes.txt"


def test_a_link_that_leads_round_is_passed_over(tmp_path):
    folder = _make(tmp_path / "split", {"a/b/1.png": 1})
    (tmp_path / "split" / "a" / "b" / "round").symlink_to(tmp_path / "split" / "a")
    (tmp_path / "split" / "a" / "self").symlink_to("self")
    (tmp_path / "split" / "a" / "other").symlink_to(tmp_path / "split" / "a" / "b")
    files = scan_classes(folder)
    assert [files.path(i) for i in range(2)] == [f"{folder}/a/b/1.png", f"{folder}/a/other/1.png"]
    assert (len(files.labels), files.others.num) == (2, 3)
    assert files.others.line(tmp_path / "split").endswith("the first a/b/round")


def test_links_to_folders_and_files_are_followed(tmp_path):
    _make(tmp_path / "real", {"1.png": 3})
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "a").symlink_to(tmp_path / "real")
    assert len(scan_classes(str(tmp_path / "split")).labels) == 1


def test_digest_is_of_names_and_sizes_alone(tmp_path):
    digest = scan_classes(_make(tmp_path / "one", TREE)).digest
    again = scan_classes(_make(tmp_path / "two", dict(reversed(TREE.items())) | {"a/notes.txt": 1}))
    assert again.digest == digest
    for change in ({"b/1.bmp": 10}, {"b/3.jpg": 9}, {"c/1.bmp": 9}):
        assert scan_classes(_make(tmp_path / str(change), TREE | change)).digest != digest


def test_first_takes_classes_evenly(tmp_path):
    tree = {f"{name}/{i}.png": 1 for name, num in (("a", 5), ("b", 2), ("c", 4)) for i in range(num)}
    folder = _make(tmp_path, tree)
    files = scan_classes(folder)
    assert files.first(None, "data.num_train") is files
    for num, counts in ((1, [1, 0, 0]), (3, [1, 1, 1]), (7, [3, 2, 2]), (8, [3, 2, 3]), (11, [5, 2, 4])):
        chosen = files.first(num, "data.num_train")
        assert np.bincount(chosen.labels, minlength=3).tolist() == counts
        names = [os.path.relpath(chosen.path(i), folder) for i in range(num)]
        assert names == [
            f"{name}/{i}.png" for name, count in zip("abc", counts, strict=True) for i in range(count)
        ]
    for num in (0, 12):
        with pytest.raises(
            ValueError,
            match=rf"data.num_train must be between 1 and 11, the files in .*, got {num}; give .* \(scale=smoke",
        ):
            files.first(num, "data.num_train")


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        ({"1.png": 1}, "must hold one folder per class, got none; move each image to"),
        (
            {"a/1.png": 1, "b/notes.txt": 1},
            "every class needs at least one image, got none in .*/b ",
        ),
        (
            {"a/1.png": 1, "b/images/1.txt": 1},
            "every class needs at least one image, got none in .*/b ",
        ),
    ],
)
def test_bad_folders_are_one_clear_line(tmp_path, tree, line):
    with pytest.raises(ValueError, match=line) as caught:
        scan_classes(_make(tmp_path, tree))
    assert "\n" not in str(caught.value)


def test_a_missing_folder_and_a_dangling_link_are_one_clear_line(tmp_path):
    with pytest.raises(ValueError, match=r"cannot list the folder .*: No such file or directory"):
        scan_classes(str(tmp_path / "gone"))
    _make(tmp_path, {"a/1.png": 1})
    (tmp_path / "a" / "2.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(
        ValueError, match=r"cannot read .*/a/2.png: No such file or directory; mend or remove it"
    ):
        scan_classes(str(tmp_path))
