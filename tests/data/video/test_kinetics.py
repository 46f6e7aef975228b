"""Kinetics' layouts: class folders and its own lists, what is missing, and what is refused."""

import dataclasses
import os

import pytest
import torch

from gnexp.config import data_config
from gnexp.data.build import build_dataset
from gnexp.data.video.clips import Clips
from gnexp.data.video.kinetics import scan_splits

CPU = torch.device("cpu")
HEADER = "label,youtube_id,time_start,time_end,split\n"
# id, start and end of each video of a split; ids may have a dash or an underscore in front.
VIDEOS = {
    "archery": [("-aB3_xYz012", 1, 11), ("_zzzzzzzzzz", 100, 110)],
    "air drumming": [("abcdefghijk", 0, 10)],
}


def _config(root, **changes):
    settings = {
        "name": "videos", "kind": "kinetics", "root": str(root), "image_size": 24, "channels": 3, "num_classes": 2,
        "mean": (0.5,) * 3, "std": (0.25,) * 3, "train_resize": (30, 40), "eval_resize": 36, "clip_length": 8,
        "clip_span": 16, "num_clips": 3, "test_crop": "full", "loader_workers": 0,
    }  # fmt: skip
    return data_config(**(settings | changes))


def _open(root, **changes) -> Clips:
    dataset = build_dataset(_config(root, **changes), CPU)
    assert isinstance(dataset, Clips)
    return dataset


def _name(video, start, end):
    return f"{video}_{start:06d}_{end:06d}.mp4"


def _touch(root, *names):
    """No file is opened when a data set is: any content will do."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * len(name))


def _write(root, *, layout="folders", lists=True, quote='"', val_list="val.csv"):
    for split in ("train", "val"):
        rows = [HEADER]
        for label, videos in VIDEOS.items():
            for video, start, end in videos:
                place = f"{split}/{label}" if layout == "folders" else split
                _touch(root, f"{place}/{_name(video, start, end)}")
                rows.append(f"{quote}{label}{quote},{video},{start},{end},{split}\n")
        if lists:
            (root / ("train.csv" if split == "train" else val_list)).write_text(
                "".join(rows), encoding="utf-8"
            )


def _listed(root, **changes):
    train, _, notes = scan_splits(root, _config(root, **changes))
    return (
        [os.path.relpath(train.path(i), root) for i in range(len(train.labels))],
        train.labels.tolist(),
        notes,
    )


FILES = [
    "train/air drumming/abcdefghijk_000000_000010.mp4",
    "train/archery/-aB3_xYz012_000001_000011.mp4",
    "train/archery/_zzzzzzzzzz_000100_000110.mp4",
]


def test_class_folders_are_a_list(tmp_path):
    _write(tmp_path, lists=False)
    _touch(
        tmp_path,
        "train/archery/notes.txt",
        "train/archery/thumb.jpg",
        "train/archery/.hidden.mp4",
        "train/x.mp4",
    )
    assert _listed(tmp_path) == (FILES, [0, 1, 1], [])
    for suffix in ("MKV", "webm", "avi", "MP4"):
        _touch(tmp_path, f"train/archery/own.{suffix}")
    assert len(_listed(tmp_path)[0]) == 7


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("val_list", ["val.csv", "validate.csv"])
def test_lists_name_the_same_videos(tmp_path, quote, val_list):
    _write(tmp_path, quote=quote, val_list=val_list)
    assert _listed(tmp_path) == (FILES, [0, 1, 1], [])
    fingerprint = _open(tmp_path).fingerprint
    _touch(
        tmp_path, "train/archery/other_000000_000010.mp4", "train/third/other_000000_000010.mp4"
    )  # not listed
    assert _listed(tmp_path)[0] == FILES and _open(tmp_path).fingerprint == fingerprint
    for path in tmp_path.glob("train/*/other*"):
        path.unlink()
    for path in tmp_path.glob("*.csv"):
        path.unlink()
    (tmp_path / "train" / "third").rmdir()
    assert _open(tmp_path).fingerprint == fingerprint  # of the same files in the same classes


def test_lists_may_name_videos_that_lie_in_one_folder(tmp_path):
    _write(tmp_path, layout="flat")
    files, labels, notes = _listed(tmp_path)
    assert files == [f"train/{os.path.basename(path)}" for path in FILES]
    assert (labels, notes) == ([0, 1, 1], [])


def test_a_lists_order_repetitions_and_byte_order_mark_change_nothing(tmp_path):
    _write(tmp_path)
    rows = (tmp_path / "train.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "train.csv").write_text("".join([rows[0], *rows[:0:-1], rows[1]]), encoding="utf-8-sig")
    assert _listed(tmp_path) == (FILES, [0, 1, 1], [])


def test_missing_videos_are_left_out_and_noted_or_end_the_run(tmp_path):
    _write(tmp_path)
    (tmp_path / FILES[1]).unlink()
    (tmp_path / FILES[1].replace("train", "val")).unlink()
    files, labels, notes = _listed(tmp_path, on_error="skip")
    assert (files, labels) == ([FILES[0], FILES[2]], [0, 1])
    assert notes == [
        f"1 video(s) of {tmp_path / f'{split}.csv'} are not in {tmp_path / split} and are left out"
        for split in ("train", "val")
    ]
    assert _open(tmp_path, on_error="skip").notes == notes
    line = (
        rf"^{tmp_path}/train.csv names 1 video\(s\) that are not in {tmp_path}/train, the first archery/-aB3_"
    )
    with pytest.raises(ValueError, match=line):
        _open(tmp_path)


def test_another_number_of_videos_than_expected_is_noted(tmp_path):
    _write(tmp_path, lists=False)
    assert _open(tmp_path, expected_train=3, expected_val=3).notes == []
    assert _open(tmp_path, expected_train=234_643).notes == [
        f"videos has 234643 train videos, {tmp_path / 'train'} holds 3"
    ]


def test_sha256_pins_the_folder(tmp_path):
    _write(tmp_path, lists=False)
    fingerprint = _open(tmp_path).fingerprint
    _open(tmp_path, sha256=fingerprint)
    _touch(tmp_path, "val/archery/more.mp4")
    with pytest.raises(ValueError, match=rf"data.sha256 must be .* got {fingerprint}, they have .*; mend"):
        _open(tmp_path, sha256=fingerprint)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            "../archery,abcdefghijk,0,10",
            "label must be the name of a file or folder within data.root, got '../archery'",
        ),
        ("/etc,abcdefghijk,0,10", "label must be .*, got '/etc'"),
        ("..,abcdefghijk,0,10", r"label must be .*, got '\.\.'"),
        ("a\\b,abcdefghijk,0,10", "label must be"),
        (",abcdefghijk,0,10", "label must be .*, got ''"),
        ("archery,../../secret,0,10", "youtube_id must be .*, got '../../secret'"),
        ("archery,/etc/passwd,0,10", "youtube_id must be"),
        (
            "archery,abcdefghijk,zero,10",
            "time_start and time_end must be whole seconds, got zero and 10; mend the row",
        ),
        ("archery,abcdefghijk", "time_start and time_end must be whole seconds, got None and None"),
    ],
)
def test_a_bad_row_is_one_clear_line(tmp_path, row, line):
    _write(tmp_path)
    with open(tmp_path / "train.csv", "a", encoding="utf-8") as file:
        file.write(row + "\n")
    with pytest.raises(ValueError, match=rf"^{tmp_path}/train.csv, line 5: {line}") as caught:
        _open(tmp_path, on_error="skip")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            "label,youtube_id,time_start\n",
            "must have the columns label, .* in its first row, it lacks time_end",
        ),
        ("", "must have the columns .*, it lacks label"),
        (HEADER, "must name a video, got none"),
        (b"\xff\xfe\xfa", "cannot read .*train.csv: .*; take Kinetics' own list"),
    ],
)
def test_a_bad_list_is_one_clear_line(tmp_path, content, line):
    _write(tmp_path)
    (tmp_path / "train.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=line) as caught:
        _open(tmp_path)
    assert "\n" not in str(caught.value)


def test_classes_must_be_those_of_both_splits_and_as_many_as_the_config_says(tmp_path):
    _write(tmp_path, lists=False)
    _touch(tmp_path, "train/third/a.mp4")
    with pytest.raises(ValueError, match="the same classes, got 3 and 2: .*/val has no third; add it"):
        _open(tmp_path, num_classes=3)
    _touch(tmp_path, "val/third/a.mp4", "val/fourth/a.mp4")
    with pytest.raises(ValueError, match="the same classes, got 3 and 4: .*/train has no fourth; add it"):
        _open(tmp_path, num_classes=3)
    _touch(tmp_path, "train/fourth/a.mp4")
    with pytest.raises(
        ValueError, match="data.num_classes must be the number of class folders in .*, got 3 and 4"
    ):
        _open(tmp_path, num_classes=3)
    (tmp_path / "train" / "fourth" / "a.mp4").unlink()
    with pytest.raises(
        ValueError, match=r"every class needs at least one video, got none in .*/fourth \(.mp4"
    ):
        _open(tmp_path, num_classes=4)


def test_labels_must_be_those_of_both_lists_and_as_many_as_the_config_says(tmp_path):
    _write(tmp_path)
    with pytest.raises(
        ValueError, match="data.num_classes must be the number of listed labels in .*, got 3 and 2"
    ):
        _open(tmp_path, num_classes=3)
    with open(tmp_path / "train.csv", "a", encoding="utf-8") as file:
        file.write("third,abcdefghijk,0,10,train\n")
    with pytest.raises(
        ValueError, match="every label of .*/train.csv needs at least one video, got none of third in"
    ):
        _open(tmp_path, on_error="skip", num_classes=3)
    _touch(tmp_path, "train/third/abcdefghijk_000000_000010.mp4")
    with pytest.raises(ValueError, match="the same classes, got 3 and 2: .*/val has no third"):
        _open(tmp_path, num_classes=3)


def test_one_list_alone_is_refused(tmp_path):
    _write(tmp_path)
    (tmp_path / "val.csv").unlink()
    with pytest.raises(
        ValueError, match="a list for each split or none, got only train.csv; add val.csv or validate.cs"
    ):
        _open(tmp_path)


def test_no_root_is_one_clear_line(tmp_path):
    config = dataclasses.replace(_config(tmp_path), root=None)
    with pytest.raises(ValueError, match="data=videos has no default, give data.root=/path/to/it"):
        build_dataset(config, CPU)
