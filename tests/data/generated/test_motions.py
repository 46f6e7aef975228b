"""Moving garments: what moves how, and that no frame tells the motion."""

import hashlib
import itertools

import numpy as np
import pytest

from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.generated.motions import (
    CANVAS,
    DIRECTED,
    GROWTH,
    JITTER,
    MOTIONS,
    NUM_FRAMES,
    SETS,
    SIDES,
    SPEED,
    SPIN,
    UNDIRECTED,
    draw_states,
    make_video,
    states,
)
from gnexp.data.generated.scenes import expose
from gnexp.ops import keyed
from tests.grids import thin

GARMENTS = load_fashion_mnist().train_images
STEPS = np.array([CANVAS * 256, CANVAS * 256, 4096, 1024])  # of each circle: x, y, angle, size


def _state(x=16.0, y=16.0, angle=0.0, size=0.0):
    """Places in pixels, the angle in turns clockwise, the size as a share of its range: (1, 4)."""
    return np.array([[round(x * 256), round(y * 256), round(angle * 4096), round(size * 1024)]])


def _bar():
    """A bright bar in the upper half of a garment's square, brighter on its left."""
    garment = np.zeros((28, 28), dtype=np.uint8)
    garment[4:9, 6:22] = 120
    garment[4:9, 6:12] = 240
    return garment


def _middle(picture):
    """Where its brightness is, from the canvas's middle on: x, y."""
    y, x = np.mgrid[:CANVAS, :CANVAS] + 0.5 - CANVAS / 2
    return np.array([(picture * x).sum(), (picture * y).sum()]) / picture.sum()


def test_a_frame_is_the_still_picture_of_its_state_whatever_the_motion():
    """The picture is a function of garment, state and exposure; the motion chooses the states alone."""
    for label in range(len(MOTIONS)):
        index = 40 + label
        frames = make_video(GARMENTS[:50], label=label, exposure=1.0, split="val", index=index)
        assert frames.shape == (NUM_FRAMES, CANVAS, CANVAS) and frames.dtype == np.uint8
        which, *exposure = keyed.uniform(1803, "video/val", 0, [index], 4)[0]
        path = states(label, "val", index)
        for t in (0, 1, 17, NUM_FRAMES - 1):
            still = draw_states(GARMENTS[int(which * 50)], path[t : t + 1])
            assert np.array_equal(expose(still, np.array([exposure]), 1.0, 1.0, 1.0)[0], frames[t])


def _clock(path):
    """Of states, how far each is around its circle: (N, 4) in [0, 1)."""
    return path / STEPS


@pytest.mark.parametrize(("t", "motions"), thin([*itertools.product([0, 31, NUM_FRAMES - 1], SETS)], 3))
def test_every_frame_of_every_motion_has_uniform_states(t, motions):
    """Kolmogorov and Smirnov's distance to the uniform distribution stays below its bound at one in a million."""
    num = 800
    for label in range(len(MOTIONS)):
        found = _clock(np.stack([states(label, "train", index, motions)[t] for index in range(num)]))
        ordered = np.sort(found, axis=0)
        distance = np.abs(ordered - (np.arange(num) + 0.5)[:, None] / num).max(axis=0) + 0.5 / num
        assert (distance < np.sqrt(np.log(2e6) / 2 / num)).all(), (motions, label, distance)
        # Nor do two of them go together: turned by one of the others, a coordinate is uniform too.
        for first in range(4):
            for second in range(first):
                both = np.sort((found[:, first] + found[:, second]) % 1)
                assert np.abs(both - (np.arange(num) + 0.5) / num).max() < np.sqrt(np.log(2e6) / 2 / num)


def test_undirected_motions_go_both_ways_and_no_two_alike():
    """Time's direction tells nothing: of each motion half of the videos are the other half's backward."""
    ways = {}
    for label, name in enumerate(UNDIRECTED):
        found = []
        for index in range(100):
            way = np.diff(states(label, "train", index, "undirected"), axis=0)
            way = ((way + STEPS // 2) % STEPS - STEPS // 2).mean(axis=0)
            found.append(
                tuple(np.sign(np.where(np.abs(way) < 2 * JITTER * 256 / 63 + 0.5, 0, way)).astype(int))
            )
        signs = UNDIRECTED[name]
        backward = tuple(-sign for sign in signs)
        assert set(found) == {signs, backward} and 30 < found.count(backward) < 70
        ways[name] = frozenset({signs, backward})
    assert len(set(ways.values())) == len(DIRECTED) == 8


def test_along_a_diagonal_a_garment_is_as_fast():
    way = np.diff(states(2, "train", 3, "undirected"), axis=0)
    way = ((way + STEPS // 2) % STEPS - STEPS // 2)[:, :2].mean(axis=0) / 256
    straight = np.diff(states(0, "train", 3, "undirected"), axis=0)
    straight = ((straight + STEPS // 2) % STEPS - STEPS // 2)[:, 0].mean() / 256
    assert np.hypot(*way) == pytest.approx(abs(straight), abs=0.03)


def test_a_motion_adds_the_same_to_one_coordinate():
    for label, (coordinate, sign) in enumerate(
        [(0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1), (3, 1), (3, -1)]
    ):
        slowest, fastest = (SPEED, SPEED, SPIN, GROWTH)[coordinate]
        unit = 256 if coordinate < 2 else STEPS[coordinate]
        speeds = []
        for index in range(30):
            path = states(label, "train", index)
            way = np.diff(path, axis=0)
            way = (way + STEPS // 2) % STEPS - STEPS // 2  # the short way around
            for other in {0, 1, 2, 3} - {coordinate}:
                assert np.abs(way[:, other]).max() <= (2 * JITTER * 256 if other < 2 else 0)
            speeds.append(sign * way[:, coordinate].mean() / unit)
            allowed = 2 * JITTER * 256 if coordinate < 2 else 0
            assert (
                np.abs(way[:, coordinate] - way[:, coordinate].mean()).max()
                <= allowed + 2 * JITTER * 256 / 63
            )
        slack = 2 * JITTER / (NUM_FRAMES - 1) if coordinate < 2 else 1e-9
        assert min(speeds) >= slowest - slack - 0.5 / unit and max(speeds) <= fastest + slack + 0.5 / unit
        assert max(speeds) - min(speeds) > (fastest - slowest) / 2


def test_right_and_down_are_where_the_canvas_has_them():
    still = draw_states(_bar(), _state())[0]
    for change, way in (({"x": 21.5}, (5.5, 0)), ({"y": 10.25}, (0, -5.75))):
        moved = draw_states(_bar(), _state(**change))[0]
        np.testing.assert_allclose(_middle(moved) - _middle(still), way, atol=0.06)


def test_a_quarter_of_a_turn_is_clockwise_and_exact():
    picture = draw_states(_bar(), _state())[0]
    for quarters in (1, 2, 3):
        turned = draw_states(_bar(), _state(angle=quarters / 4))[0]
        np.testing.assert_allclose(turned, np.rot90(picture, -quarters), atol=0.02)
    assert _middle(picture)[1] < -2 and _middle(draw_states(_bar(), _state(angle=0.25))[0])[0] > 2


def test_sizes_are_those_of_the_range_even_in_their_logarithm():
    square = np.full((28, 28), 255, dtype=np.uint8)
    for size in (0.0, 0.25, 0.5, 1 - 1 / 1024):
        side = SIDES[0] * (SIDES[1] / SIDES[0]) ** size
        picture = draw_states(square, _state(size=size))[0]
        assert abs(picture.sum() / side**2 - 1) < 0.03
        assert picture.max() == 1


def test_what_leaves_on_one_side_enters_on_the_other():
    picture = draw_states(_bar(), _state(size=0.9, angle=0.1))[0]
    for down, across in ((0, 14), (11, 0), (15, 15)):
        moved = draw_states(_bar(), _state(16 + across, (16 + down) % CANVAS, 0.1, 0.9) % STEPS)[0]
        assert np.array_equal(moved, np.roll(picture, (down, across), axis=(0, 1)))


def test_the_largest_garment_does_not_meet_itself():
    square = np.full((28, 28), 255, dtype=np.uint8)
    picture = draw_states(square, _state(size=1 - 1 / 1024, angle=1 / 8))[0]
    assert not picture[0].any() and not picture[:, 0].any()


def test_exposures_differ_from_video_to_video_alone():
    backgrounds = [
        np.median(make_video(GARMENTS, label=0, exposure=1.0, split="train", index=i)[::9], axis=(1, 2))
        for i in range(30)
    ]
    assert all(np.ptp(levels) == 0 for levels in backgrounds)
    levels = [float(levels[0]) for levels in backgrounds]
    assert min(levels) < 40 and max(levels) > 200
    plain = make_video(GARMENTS, label=0, exposure=0.0, split="train", index=0)
    assert np.median(plain) == 0


def test_splits_draw_apart():
    assert not np.array_equal(states(0, "train", 0), states(0, "val", 0))


def test_the_pixels_are_those_of_every_machine():
    """The whole set's sha256 stands in conf/data/fashion_clips.yaml."""
    digest = hashlib.sha256()
    for index in range(len(MOTIONS)):
        digest.update(make_video(GARMENTS, label=index, exposure=1.0, split="train", index=index).tobytes())
    assert digest.hexdigest() == "842a2721cd6aa817c7275710934548fb0ab9c77448f30b2dc3db4bd852139916"
