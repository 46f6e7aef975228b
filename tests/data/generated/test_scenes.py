"""Scenes: what each setting does, and that nothing else decides."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from gnexp.config import data_config
from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.generated.scenes import make_scenes

PLAIN = data_config(exposure=0.0, clutter=0)


@pytest.fixture(scope="module")
def garments() -> npt.NDArray[np.uint8]:
    return load_fashion_mnist().train_images[:200]


def test_without_exposure_or_clutter_a_scene_is_the_garment_somewhere(
    garments: npt.NDArray[np.uint8],
) -> None:
    scenes = make_scenes(garments, PLAIN, "train")
    assert scenes.shape == (200, 32, 32) and scenes.dtype == np.uint8
    places = set()
    for scene, garment in zip(scenes, garments, strict=True):
        found = [
            (y, x) for y in range(5) for x in range(5) if (scene[y : y + 28, x : x + 28] == garment).all()
        ]
        assert found and int(scene.sum()) == int(garment.sum())
        places.update(found)
    assert len(places) == 25


def test_a_scene_does_not_depend_on_how_many_are_made(garments: npt.NDArray[np.uint8]) -> None:
    config = dataclasses.replace(PLAIN, exposure=1.0)
    assert (make_scenes(garments, config, "train")[:50] == make_scenes(garments[:50], config, "train")).all()


def test_exposure_spreads_the_images_own_statistics(garments: npt.NDArray[np.uint8]) -> None:
    contrast = make_scenes(garments, PLAIN, "train").std((1, 2))
    spreads = []
    for exposure in (0.0, 0.5, 1.0):
        scenes = make_scenes(garments, dataclasses.replace(PLAIN, exposure=exposure), "train")
        spreads.append(float(np.log(scenes.std((1, 2)) / contrast).std()))
    assert spreads[0] == 0 and 0.1 < spreads[1] < spreads[2] / 1.5
    # Half of the scenes are reversed: their border, which is background, is brighter than what lies on it.
    border = scenes[:, 0, :].mean(1)
    assert 60 < int((scenes.mean((1, 2)) < border).sum()) < 140


@pytest.mark.parametrize("part", ["gain", "background", "inversion"])
def test_a_part_of_the_exposure_is_spread_alone(garments: npt.NDArray[np.uint8], part: str) -> None:
    """Of a gain the ground stays black and a garment dims, a background lifts all, an inversion keeps or turns."""
    plain = make_scenes(garments, PLAIN, "train").astype(int)
    scenes = make_scenes(garments, dataclasses.replace(PLAIN, **{part: 1.0}), "train").astype(int)
    if part == "gain":
        assert (scenes <= plain).all() and (scenes[plain == 0] == 0).all() and (scenes < plain).any()
    elif part == "background":
        assert (scenes >= plain).all() and len(np.unique(scenes[:, 0, 0])) > 20
    else:
        turned = (scenes != plain).any((1, 2))
        assert (scenes[turned] == 255 - plain[turned]).all() and 60 < turned.sum() < 140
    whole = dataclasses.replace(PLAIN, gain=1.0, background=1.0, inversion=1.0)
    full = make_scenes(garments, dataclasses.replace(PLAIN, exposure=1.0), "train")
    assert (make_scenes(garments, whole, "train") == full).all()


def test_clutter_adds_parts_of_other_garments(garments: npt.NDArray[np.uint8]) -> None:
    plain = make_scenes(garments, PLAIN, "train")
    cluttered = make_scenes(garments, dataclasses.replace(PLAIN, clutter=3), "train")
    assert (cluttered >= plain).all()
    changed = (cluttered > plain).any((1, 2)).mean()
    assert changed > 0.9
    # No more than three garments of 10 x 10 pixels.
    assert int((cluttered > plain).sum((1, 2)).max()) <= 300


def test_splits_are_drawn_apart(garments: npt.NDArray[np.uint8]) -> None:
    config = dataclasses.replace(PLAIN, exposure=1.0)
    assert (make_scenes(garments, config, "train") != make_scenes(garments, config, "val")).any(
        (1, 2)
    ).mean() > 0.99


def test_a_canvas_smaller_than_a_garment(garments: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="data.image_size must be at least 28, a garment's side, got 20"):
        make_scenes(garments, dataclasses.replace(PLAIN, image_size=20), "train")
