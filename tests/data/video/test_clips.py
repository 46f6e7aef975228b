"""Videos in class folders as a Dataset of clips: shapes, keys, loader processes, and videos that cannot be used."""

import multiprocessing
import random
import re
import shutil

import numpy as np
import pytest
import torch

from gnexp.config import data_config
from gnexp.data.build import build_dataset
from gnexp.data.loader import Share, train_batches, val_batches
from gnexp.data.video.chunks import NUM_CLIP_DRAWS, evenly_spaced_clips, random_clip
from gnexp.data.video.clips import Clips
from gnexp.ops import keyed
from tests.data.videos import moving, write_kinetics, write_video

CPU = torch.device("cpu")
NUM_TRAIN, NUM_VAL = 6, 4


def _config(root, **changes):
    settings = {
        "name": "videos", "kind": "kinetics", "root": str(root), "image_size": 24, "channels": 3, "num_classes": 2,
        "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3), "flip": True, "train_resize": (30, 40), "eval_resize": 36,
        "clip_length": 8, "clip_span": 16, "num_clips": 3, "test_crop": "full", "loader_workers": 0,
    }  # fmt: skip
    return data_config(**(settings | changes))


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    write_kinetics(root, num_train=3, num_val=2, num_frames=40)
    return root


@pytest.fixture
def root(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "videos")


def _open(root, **changes) -> Clips:
    dataset = build_dataset(_config(root, **changes), CPU)
    assert isinstance(dataset, Clips)
    return dataset


def _paths(root, split):
    return sorted(str(path) for path in (root / split).glob("*/*.mp4"))


def _train(dataset, seed=0, epoch=0, indices=range(NUM_TRAIN)):
    (batch,) = dataset.train_batches(seed, epoch, [np.array(indices)])
    return batch


def _val(dataset, indices=range(NUM_VAL)):
    (batch,) = dataset.val_batches([np.array(indices)])
    return batch


def _normalized(pixels, config):
    mean, std = (torch.tensor(v).view(-1, *[1] * (pixels.ndim - 1)) for v in (config.mean, config.std))
    return (pixels.float() / 255 - mean) / std


def test_a_training_batch_is_a_keyed_clip_of_each_video(clean):
    config, dataset = _config(clean), _open(clean)
    batch = _train(dataset, 3, 2, [5, 0])
    assert batch.images.shape == (2, 3, 8, 24, 24) and batch.images.dtype == torch.float32
    assert batch.labels.tolist() == [1, 0] and batch.labels.dtype == torch.int64
    assert batch.indices.tolist() == [5, 0]
    draws = keyed.uniform(3, "augment", 2, [5, 0], NUM_CLIP_DRAWS)
    for images, index, drawn in zip(batch.images, (5, 0), draws, strict=True):
        clip = random_clip(_paths(clean, "train")[index], drawn, config)
        torch.testing.assert_close(images, _normalized(clip, config), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("test_crop", "num_crops"), [("full", 1), ("three", 3), ("center", 1)])
def test_a_val_batch_is_the_views_of_each_video(clean, test_crop, num_crops):
    config = _config(clean, test_crop=test_crop)
    batch = _val(_open(clean, test_crop=test_crop), [3, 0, 1])
    assert batch.labels.tolist() == [1, 0, 0] and batch.indices.tolist() == [3, 0, 1]
    for images, index in zip(batch.images, (3, 0, 1), strict=True):
        frames, places, boxes = evenly_spaced_clips(_paths(clean, "val")[index], config)
        left, top, right, bottom = boxes[0]
        assert images.shape == (3 * num_crops, 3, 8, bottom - top, right - left)
        views = [
            frames[:, own, top:bottom, left:right] for own in places for left, top, right, bottom in boxes
        ]
        for view, expected in zip(images, views, strict=True):
            torch.testing.assert_close(view, _normalized(expected, config), rtol=0, atol=1e-6)
    sizes = [tuple(images.shape[3:]) for images in batch.images]
    assert sizes == ([(43, 36), (36, 50), (43, 36)] if test_crop == "full" else [(36, 36)] * 3)


def test_what_is_monitored_is_a_clip_of_val_as_in_training_under_draws_of_its_own(clean):
    config, dataset = _config(clean), _open(clean)
    monitored = dataset.monitored(3, 2)
    assert (monitored.num_val, monitored.fingerprint) == (NUM_VAL, dataset.fingerprint)
    assert monitored.skipped is dataset.skipped and monitored.notes is dataset.notes
    batch = _val(monitored, [2, 1])
    assert batch.images.shape == (2, 3, 8, 24, 24)
    assert batch.labels.tolist() == [1, 0] and batch.indices.tolist() == [2, 1]
    for images, index in zip(batch.images, (2, 1), strict=True):
        drawn = keyed.uniform(3, "monitor", 2, [index], NUM_CLIP_DRAWS)[0]
        clip = random_clip(_paths(clean, "val")[index], drawn, config)
        torch.testing.assert_close(images, _normalized(clip, config), rtol=0, atol=1e-6)
    assert isinstance(_val(dataset).images, list)  # the data set itself is as before
    assert not torch.equal(_val(dataset.monitored(3, 3), [2, 1]).images, batch.images)


def test_loader_processes_change_no_bit(clean):
    """More steps than one chunk, and steps of more than one chunk."""
    steps = [np.array(step) for step in ([4, 1, 0, 5, 2, 3], [2], [3, 3])]
    found = []
    for loader_workers in (0, 2):
        dataset = _open(clean, loader_workers=loader_workers)
        found.append(
            [
                *[batch.images for batch in dataset.train_batches(5, 1, steps)],
                *[
                    image
                    for batch in dataset.val_batches([np.arange(3), np.array([3])])
                    for image in batch.images
                ],
                *[batch.images for batch in dataset.monitored(5, 1).val_batches([np.arange(4)])],
            ]
        )
    assert len(found[0]) == 8
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert not multiprocessing.active_children()


def test_shares_of_processes_and_the_rest_of_an_epoch_have_the_same_bits(clean):
    dataset = _open(clean)
    whole = [batch.images for batch in train_batches(dataset, seed=1, epoch=0, total_batch=2, workers=2)]
    for rank in (0, 1):
        share = Share(rank, 2)
        part = train_batches(dataset, seed=1, epoch=0, total_batch=2, workers=2, share=share)
        for mine, all_ in zip(part, whole, strict=True):
            assert torch.equal(mine.images, all_[rank::2])
    rest = list(train_batches(dataset, seed=1, epoch=0, total_batch=2, workers=2, first_step=2))
    assert len(rest) == 1 and torch.equal(rest[0].images, whole[2])
    seen = [
        index
        for rank in (0, 1)
        for b in val_batches(dataset, size=1, share=Share(rank, 2))
        for index in b.indices
    ]
    assert sorted(seen) == list(range(NUM_VAL))


def test_half_of_the_clips_are_flipped(clean):
    flips = 0
    for epoch in range(24):
        straight, maybe = (
            _train(_open(clean, flip=flip), epoch=epoch, indices=[0]) for flip in (False, True)
        )
        is_flipped = torch.equal(maybe.images, straight.images.flip(4))
        assert is_flipped != torch.equal(maybe.images, straight.images)
        flips += is_flipped
    assert 6 < flips < 18


def test_global_random_state_is_untouched(clean):
    def states():
        legacy = np.random.get_state()
        return random.getstate(), legacy[1].tobytes(), legacy[2:], torch.get_rng_state().tolist()

    before = states()
    for loader_workers in (0, 1):
        dataset = _open(clean, loader_workers=loader_workers)
        _train(dataset), _val(dataset), _val(dataset.monitored(0, 0))
    assert states() == before


def _spoil(path, how):
    """Makes a video unusable; returns the reason that will be told."""
    content = path.read_bytes()
    if how == "short":
        write_video(path, moving(15, 56, 40, 3))
        return "it has 15 frames, a clip is spread over 16"
    new, reason = {
        "garbage": (b"garbage" * 99, "not a video, or a damaged one"),
        "empty": (b"", "an empty file"),
        "cut": (content[: len(content) // 2], "not a video, or a damaged one"),
    }[how]
    path.write_bytes(new)
    return reason


@pytest.mark.parametrize("how", ["garbage", "empty", "cut", "short"])
def test_an_unusable_training_video_is_replaced_by_the_same_one_always(root, how):
    before = _train(_open(root))
    paths = [root / path for path in _paths(root, "train")]
    reason = _spoil(paths[1], how)
    dataset = _open(root, on_error="skip")
    batch = _train(dataset)
    others = [0, 2, 3, 4, 5]
    assert torch.equal(batch.images[others], before.images[others])
    assert dataset.skipped == {str(paths[1]): reason}
    # Which one stands in follows from the index alone; how it is cut, from the key of the video that it stands in for.
    draws = keyed.bits(0, "replacement", 0, [1], 20)[0]
    other = next(index for index in (int(bits % np.uint64(6)) for bits in draws) if index != 1)
    clip = random_clip(
        str(paths[other]), keyed.uniform(0, "augment", 0, [1], NUM_CLIP_DRAWS)[0], _config(root)
    )
    torch.testing.assert_close(batch.images[1], _normalized(clip, _config(root)), rtol=0, atol=1e-6)
    assert int(batch.labels[1]) == other // 3
    again = _open(root, on_error="skip", loader_workers=2)
    assert torch.equal(_train(again).images, batch.images) and again.skipped == dataset.skipped


@pytest.mark.parametrize("loader_workers", [0, 2])
def test_an_unusable_val_video_is_left_out(root, loader_workers):
    paths = [root / path for path in _paths(root, "val")]
    before = _val(_open(root))
    reason = _spoil(paths[1], "garbage")
    dataset = _open(root, on_error="skip", loader_workers=loader_workers)
    for batch in (_val(dataset), _val(dataset.monitored(0, 0))):
        assert batch.indices.tolist() == [0, 2, 3] and batch.labels.tolist() == [0, 1, 1]
        assert len(batch.images) == 3
    assert all(torch.equal(a, before.images[i]) for a, i in zip(_val(dataset).images, (0, 2, 3), strict=True))
    assert dataset.skipped == {str(paths[1]): reason}
    _spoil(paths[0], "empty")
    dataset = _open(root, on_error="skip", loader_workers=loader_workers)
    empty = _val(dataset, [1, 0])
    assert empty.images == [] and len(empty.labels) == len(empty.indices) == 0
    empty = _val(dataset.monitored(0, 0), [1, 0])
    assert empty.images.shape == (0, 3, 8, 24, 24) and len(empty.labels) == len(empty.indices) == 0
    assert len(dataset.skipped) == 2


@pytest.mark.parametrize("loader_workers", [0, 1])
def test_without_skipping_an_unusable_video_is_one_clear_line(root, loader_workers):
    dataset = _open(root, loader_workers=loader_workers)
    for split, look in (
        ("train", _train),
        ("val", _val),
        ("val", lambda dataset: _val(dataset.monitored(0, 0))),
    ):
        path = root / _paths(root, split)[1]
        reason = _spoil(path, "garbage")
        line = f"cannot read the video {path}: {reason}; mend or remove it"
        with pytest.raises(ValueError, match=f"^{re.escape(line)}$") as held:
            look(dataset)
        assert held.tb is not None  # its frames would keep the loader processes
        assert not multiprocessing.active_children()
    assert dataset.skipped == {}


def test_more_than_max_skipped_end_the_run_whatever_they_were(root):
    for split in ("train", "val"):
        _spoil(root / _paths(root, split)[0], "empty")
    dataset = _open(root, on_error="skip", max_skipped=2)
    _train(dataset), _val(dataset)
    assert len(dataset.skipped) == 2
    dataset = _open(root, on_error="skip", max_skipped=1)
    _train(dataset)
    line = r"^more than data.max_skipped=1 videos cannot be read, the last .*/val/a/.*: an empty file; mend the folder"
    with pytest.raises(ValueError, match=line):
        _val(dataset)
    for path in _paths(root, "train"):
        _spoil(root / path, "empty")
    with pytest.raises(ValueError, match="nor could any video that was to stand in for it"):
        _train(_open(root, on_error="skip"))


@pytest.mark.parametrize("look", [_train, _val])
def test_a_fault_of_the_machine_is_never_skipped(root, monkeypatch, look):
    def fail(path, use):
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr("gnexp.data.video.chunks.read_video", fail)
    dataset = _open(root, on_error="skip")
    line = r"^cannot read .*: Input/output error, which is no fault of the video; mend that, and the same command"
    with pytest.raises(ValueError, match=line):
        look(dataset)
    assert dataset.skipped == {}


def test_num_train_and_num_val_take_classes_evenly(clean):
    dataset = _open(clean, num_train=3, num_val=2)
    assert (dataset.num_train, dataset.num_val) == (3, 2)
    assert _train(dataset, indices=range(3)).labels.tolist() == [0, 0, 1]
    assert _val(dataset, range(2)).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"train_resize": None}, "data.train_resize is missing: kind kinetics needs it"),
        ({"train_resize": (40, 30)}, "data.train_resize must be"),
        ({"train_resize": (23, 40)}, r"data.train_resize must be .*, got \(23, 40\)"),
        ({"train_resize": (40,)}, r"data.train_resize must be .*, got \(40,\)"),
        ({"eval_resize": 23}, "data.eval_resize must be at least data.image_size=24, got 23"),
        ({"eval_resize": None}, "data.eval_resize is missing: kind kinetics needs it"),
        ({"clip_length": None, "clip_span": None}, "data.clip_length is missing: kind kinetics needs it"),
        ({"num_clips": None}, "data.num_clips is missing: kind kinetics needs it"),
        ({"test_crop": None}, "data.test_crop is missing: kind kinetics needs it"),
        ({"shift": 2}, "data.shift is not for kind kinetics, got 2"),
        ({"channels": 2, "mean": (0, 0), "std": (1, 1)}, r"data.channels must be 1 or 3, got 2"),
        *[
            ({key: value}, f"data.{key} is not for kind kinetics, got")
            for key, value in (
                ("crop_area", (0.5, 1.0)), ("crop_aspect", (0.5, 1.0)), ("jitter", 0.4), ("lighting", 0.1),
                ("decoder", "scaled"), ("clutter", 1), ("exposure", 1.0), ("val_source", "test"), ("min_size", 32),
                ("max_size", 32),
            )
        ],
    ],
)  # fmt: skip
def test_bad_settings_are_one_clear_line(clean, changes, line):
    with pytest.raises(ValueError, match=line) as caught:
        _open(clean, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kind", ["fashion", "fashion_scenes", "fashion_coco", "fashion_mnist", "cifar10", "coco"]
)
@pytest.mark.parametrize(
    ("key", "value"),
    [("train_resize", (32, 40)), ("clip_length", 8), ("num_clips", 10), ("test_crop", "full")],
)
def test_clips_belong_to_videos_alone(tmp_path, kind, key, value):
    spans = {"clip_span": 16} if key == "clip_length" else {}
    root = {} if kind.startswith("fashion") and kind != "fashion_mnist" else {"root": str(tmp_path)}
    with pytest.raises(ValueError, match=f"data.{key} is not for kind {kind}, got .*; leave it out"):
        data_config(kind=kind, **root, **{key: value}, **spans)
