"""Garments in motion in Kinetics' layout: what is in the files, and that they are generated once and whole."""

import json
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from gnexp.config import data_config
from gnexp.data.build import build_dataset
from gnexp.data.generated import fashion_clips
from gnexp.data.generated.fashion import NUM_HELD_OUT
from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.generated.motions import MOTIONS, UNDIRECTED, make_video
from gnexp.data.video import kept
from gnexp.data.video.clips import Clips
from gnexp.data.video.decode import read_video

CPU = torch.device("cpu")
GARMENTS = load_fashion_mnist()
CLASSES = sorted(MOTIONS)


def _config(root, **changes):
    settings = {
        "name": "fashion_clips", "kind": "fashion_clips", "image_size": 32, "num_classes": 8, "num_train": 16,
        "num_val": 9, "exposure": 1.0, "val_source": "test", "flip": False, "train_resize": (32, 32), "eval_resize": 32,
        "clip_length": 16, "clip_span": 32, "num_clips": 3, "test_crop": "full", "loader_workers": 0,
        "root": None if root is None else str(root),
    }  # fmt: skip
    return data_config(**(settings | changes))


def _open(root, **changes) -> Clips:
    dataset = build_dataset(_config(root, **changes), CPU)
    assert isinstance(dataset, Clips)
    return dataset


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    root = tmp_path_factory.mktemp("garments")
    _open(root)
    return root


@pytest.fixture
def root(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "garments")


def _folder(root) -> Path:
    (folder,) = (path for path in root.iterdir() if path.is_dir())
    return folder


def _video(index, garments, split):
    label = index % len(MOTIONS)
    return make_video(garments, label=label, exposure=1.0, split=split, index=index)


def _decode(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])


def test_the_files_hold_what_was_made_and_are_named_as_kinetics_are(clean):
    folder = _folder(clean)
    for split, garments, num in (
        ("train", GARMENTS.train_images[:-NUM_HELD_OUT], 16),
        ("val", GARMENTS.test_images, 9),
    ):
        paths = {path.name: path for path in (folder / split).glob("*/*.mp4")}
        assert len(paths) == num and sorted(path.name for path in (folder / split).iterdir()) == CLASSES
        for index, (name, path) in enumerate(sorted(paths.items())):
            assert re.fullmatch(r"[\w-]{11}_000000_000003.mp4", name)
            assert path.parent.name == MOTIONS[index % 8]
            assert np.array_equal(_decode(path), _video(index, garments, split))  # lossless
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate, stream.frames) == ("h264", 25, 64)
        keyframes = [i for i, packet in enumerate(container.demux(stream)) if packet.is_keyframe]
        assert np.diff([*keyframes, 64]).max() <= 16


def test_the_dataset_gives_what_the_files_hold(clean):
    dataset = _open(clean)
    assert (dataset.num_train, dataset.num_val, dataset.notes) == (16, 9, [])
    (batch,) = dataset.val_batches([np.arange(9)])
    assert batch.labels.tolist() == [0, 1, 2, 3, 4, 5, 5, 6, 7]  # the ninth is the second to the right
    video = _video(MOTIONS.index("left"), GARMENTS.test_images, "val")
    views = batch.images[CLASSES.index("left")]
    assert views.shape == (3, 1, 16, 32, 32)
    expected = np.stack([video[start : start + 32 : 2] for start in (0, 16, 32)])[:, None]
    torch.testing.assert_close(views, (torch.from_numpy(expected) / 255 - 0.5) / 0.25)


def test_the_fingerprint_is_of_the_frames_and_checked_when_made_and_opened(clean, root, tmp_path):
    fingerprint = _open(clean).fingerprint
    assert _open(clean, sha256=fingerprint).fingerprint == fingerprint
    assert _open(tmp_path / "again").fingerprint == fingerprint
    for place in (root, tmp_path / "third"):
        line = rf"data=fashion_clips gave videos with sha256 {fingerprint}, its config expects abc; give"
        with pytest.raises(ValueError, match=line):
            _open(place, sha256="abc")
    other = json.loads(
        (_folder(_made(tmp_path / "other", exposure=0.5)) / "manifest.json").read_text(encoding="utf-8")
    )
    assert other["sha256"] != fingerprint


def _made(root, **changes):
    _open(root, **changes)
    return root


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "add", "manifest"])
def test_damage_is_seen_when_the_set_is_opened(root, damage):
    folder = _folder(root)
    path = sorted((folder / "val" / "right").iterdir())[0]
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-10])
    elif damage == "remove":
        path.unlink()
    elif damage == "add":
        (path.parent / "own.mp4").write_bytes(content)
    else:
        (folder / "manifest.json").write_text("{", encoding="utf-8")
    line = rf"(must hold the videos of its manifest.json|cannot read .*manifest.json).* \(or remove {folder}, and it is"
    with pytest.raises(ValueError, match=line) as caught:
        _open(root)
    assert "\n" not in str(caught.value)
    shutil.rmtree(folder)
    _open(root)


def test_val_source_train_leaves_training_as_it_is_and_takes_other_garments(clean, tmp_path):
    held, test = _open(tmp_path, val_source="train"), _open(clean)
    for key in ((0, 0), (1, 3)):
        one, other = (next(dataset.train_batches(*key, [np.arange(16)])).images for dataset in (held, test))
        assert torch.equal(one, other)
    names = sorted(path for path in (_folder(tmp_path) / "val").glob("*/*.mp4"))
    first = next(path for path in names if "garment0000" in path.name)
    assert np.array_equal(_decode(first), _video(0, GARMENTS.train_images[-NUM_HELD_OUT:], "val"))


def test_each_setting_has_a_folder_of_its_own(tmp_path):
    few = {"num_train": 8, "num_val": 8}
    for changes in ({}, {"exposure": 0.5}, {"num_val": 16}, {"val_source": "train"}):
        _open(tmp_path, **(few | changes))
    folders = [path.name for path in tmp_path.iterdir() if path.is_dir()]
    assert len(folders) == 4
    _open(tmp_path, **few, val_source=None, clip_length=8, image_size=24)  # the first's videos
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 4


def test_what_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    def fail(path, frames):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(fashion_clips, "_write_video", fail)
        line = "data.root must be a folder that can be written, .*: No space left"
        with pytest.raises(ValueError, match=line):
            _open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".make.lock"]
    _open(tmp_path, num_train=8, num_val=8)


def test_no_bar_is_drawn_where_there_is_no_terminal(tmp_path, capfd):
    _open(tmp_path, num_train=8, num_val=8)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"root": None}, "data.root must be given for kind fashion_clips, got none"),
        ({"num_val": None}, "data.num_val must be given for kind fashion_clips, got none"),
        ({"flip": True}, "data.flip must be false for kind fashion_clips, got true"),
        ({"num_classes": 10}, "data.num_classes must be 8 for kind fashion_clips, got 10"),
        ({"channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3}, "data.channels must be 1 for kind fashion_clips, got"),
        ({"num_val": 7}, "data.num_val must be at least 8, one video a motion, got 7"),
        ({"clutter": 2}, "data.clutter is not for kind fashion_clips, got 2"),
    ],
)  # fmt: skip
def test_bad_settings_are_one_clear_line(tmp_path, changes, line):
    with pytest.raises(ValueError, match=line):
        _open(changes.pop("root", tmp_path), **changes)


def _everything(dataset: Clips) -> list[torch.Tensor]:
    """A pass of training, the test, and what is monitored."""
    (train,) = dataset.train_batches(0, 1, [np.arange(16)])
    (test,) = dataset.val_batches([np.arange(9)])
    (monitored,) = dataset.monitored(0, 1).val_batches([np.arange(9)])
    return [train.images, *test.images, monitored.images]


def test_videos_that_are_kept_give_the_clips_that_files_give(clean, monkeypatch):
    """And no file is read twice, but where there is no room."""
    with monkeypatch.context() as patch:
        patch.setattr(fashion_clips, "KeptVideos", lambda channels: None)
        expected = _everything(_open(clean))
    opened: list[str] = []
    monkeypatch.setattr(kept, "read_video", lambda path, use: [opened.append(path), read_video(path, use)][1])
    dataset = _open(clean)
    for _ in range(2):
        for ours, theirs in zip(_everything(dataset), expected, strict=True):
            assert torch.equal(ours, theirs)
    assert len(opened) == len(set(opened)) == 16 + 9
    opened.clear()
    monkeypatch.setattr(
        fashion_clips, "KeptVideos", lambda channels: kept.KeptVideos(channels, 3 * 64 * 32 * 32)
    )
    for ours, theirs in zip(_everything(_open(clean)), expected, strict=True):
        assert torch.equal(ours, theirs)
    assert len(set(opened)) == 16 + 9 < len(opened)
    assert _open(clean, loader_workers=1)._kept is None and _open(clean, eval_resize=40)._kept is None


def test_another_set_of_motions_is_another_folder_and_the_first_one_keeps_its_own(clean, tmp_path):
    """A set's name enters the folder's only where it is not the first, so that no old folder is generated again."""
    before = {path.name for path in clean.iterdir() if path.is_dir()}
    root = tmp_path / "both"
    shutil.copytree(clean, root)
    dataset = _open(root, motions="undirected")
    (added,) = {path.name for path in root.iterdir() if path.is_dir()} - before
    assert sorted(path.name for path in (root / added / "val").iterdir()) == sorted(UNDIRECTED)
    assert dataset.fingerprint != _open(root).fingerprint
    assert {path.name for path in root.iterdir() if path.is_dir()} == before | {added}
    assert _config(root, motions="directed") == _config(root)
