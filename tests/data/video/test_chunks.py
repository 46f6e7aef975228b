"""Which frames and which part of them a clip has."""

import numpy as np
import pytest

from gnexp.config import data_config
from gnexp.data.video.chunks import NUM_CLIP_DRAWS, crops, even_starts, evenly_spaced_clips, random_clip
from gnexp.data.video.decode import UnreadableVideoError
from tests.data.videos import moving, write_video

FRAMES = moving(50, 56, 40)


def _config(**changes):
    settings = {
        "name": "videos", "kind": "kinetics", "image_size": 24, "channels": 1, "mean": (0.5,), "std": (0.25,),
        "flip": False, "train_resize": (40, 40), "eval_resize": 40, "clip_length": 8, "clip_span": 16, "num_clips": 10,
        "test_crop": "full",
    }  # fmt: skip
    return data_config(**(settings | changes))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("video") / "a.mp4"
    write_video(file, FRAMES)
    return str(file)


def test_starts_are_even_from_the_first_to_the_last():
    assert even_starts(236, 10) == [round(i * 236 / 9) for i in range(10)]
    assert even_starts(0, 10) == [0] * 10
    assert even_starts(3, 10) == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    assert even_starts(7, 2) == [0, 7]
    assert even_starts(7, 1) == [3]


def test_crops_lie_along_the_longer_side():
    assert crops(340, 256, "full") == [(0, 0, 340, 256)]
    assert crops(340, 256, "three") == [(0, 0, 256, 256), (42, 0, 298, 256), (84, 0, 340, 256)]
    assert crops(256, 341, "three") == [(0, 0, 256, 256), (0, 42, 256, 298), (0, 85, 256, 341)]
    assert crops(340, 256, "center") == [(42, 0, 298, 256)]
    assert crops(256, 256, "center") == crops(256, 256, "full") == [(0, 0, 256, 256)]


@pytest.mark.parametrize(("length", "span"), [(8, 16), (16, 16), (1, 16), (5, 50)])
def test_a_random_clip_is_frames_at_a_stride_cut_to_a_square(path, length, span):
    config = _config(clip_length=length, clip_span=span)
    for drawn in ((0.9, 0.0, 0.5, 0.0, 0.0), (0.9, 0.999, 0.5, 0.999, 0.999), (0.9, 0.4, 0.5, 0.3, 0.7)):
        clip = random_clip(path, np.array(drawn), config)
        start, left, top = int(drawn[1] * (51 - span)), int(drawn[3] * 33), int(drawn[4] * 17)
        expected = FRAMES[start : start + span : span // length, top : top + 24, left : left + 24]
        assert np.array_equal(clip.numpy(), expected[None])


def test_a_flip_mirrors_all_frames_of_a_clip(path):
    drawn = np.array([0.49, 0.4, 0.5, 0.3, 0.7])
    straight, flipped = (random_clip(path, drawn, _config(flip=flip)) for flip in (False, True))
    assert np.array_equal(flipped, straight.flip(3)) and not np.array_equal(flipped, straight)
    drawn[0] = 0.5
    assert np.array_equal(random_clip(path, drawn, _config(flip=True)), straight)


def test_the_shorter_side_is_drawn_between_the_two(path):
    """The same corner of a frame that is resized to 40, where it is as it was generated, and to 60."""
    config = _config(train_resize=(40, 60), image_size=40)
    clips = [random_clip(path, np.array([0.9, 0.0, side, 0.0, 0.0]), config) for side in (0.0, 0.999)]
    assert np.array_equal(clips[0][0], FRAMES[:16:2, :, :40])
    # The generated frames are of squares of 4 x 4 pixels: what 3 pixels of the larger frame show, 2 of theirs do.
    assert np.array_equal(clips[1][0, :, 1::3, 1::3], FRAMES[:16:2, 1:27:2, 1:27:2])


@pytest.mark.parametrize("test_crop", ["full", "three", "center"])
def test_the_tests_clips_share_their_frames(path, test_crop):
    frames, places, boxes = evenly_spaced_clips(path, _config(test_crop=test_crop))
    starts = even_starts(34, 10)
    assert places.shape == (10, 8) and list(boxes) == crops(56, 40, test_crop)
    assert frames.shape[1] == len({start + 2 * i for start in starts for i in range(8)}) < 80
    for start, own in zip(starts, places, strict=True):
        assert np.array_equal(frames[0, own], FRAMES[start : start + 16 : 2])


def test_the_tests_frames_have_the_shorter_side_that_was_asked_for(path):
    frames, _, boxes = evenly_spaced_clips(path, _config(eval_resize=30, num_clips=1))
    assert frames.shape == (1, 8, 30, 42) and boxes == [(0, 0, 42, 30)]


def test_a_video_that_is_shorter_than_a_clip_cannot_be_used(path):
    config = _config(clip_length=17, clip_span=51)
    for make in (evenly_spaced_clips, lambda *key: random_clip(key[0], np.zeros(NUM_CLIP_DRAWS), key[1])):
        with pytest.raises(
            UnreadableVideoError, match="a.mp4: it has 50 frames, a clip is spread over 51; mend"
        ):
            make(path, config)
