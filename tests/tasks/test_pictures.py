"""Pictures of detections: what is drawn, where, and what is not."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from gnexp.tasks.pictures import draw_detections

NAMES = ["Bag", "Ankle boot"]
ORANGE, BLUE = (230, 159, 0), (86, 180, 233)  # of the first object and of the second


def objects(
    *boxes: tuple[float, float, float, float], scores: list[float] | None = None
) -> dict[str, torch.Tensor]:
    """Filled boxes of an image of 96 x 96 pixels, of the two labels in turn."""
    masks = torch.zeros(len(boxes), 96, 96)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[int(top) : int(bottom), int(left) : int(right)] = 1
    found = {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.tensor([1 + i % 2 for i in range(len(boxes))], dtype=torch.long),
        "masks": masks,
    }
    return found if scores is None else found | {"scores": torch.tensor(scores), "masks": masks[:, None]}


def drawn(truth: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """The two halves of a picture of a gray image, (480, 480, 3) each."""
    image = Image.open(io.BytesIO(draw_detections(torch.full((1, 96, 96), 0.5), truth, found, NAMES)))
    assert image.size == (480 + 8 + 480, 480)
    pixels = np.array(image)
    return pixels[:, :480], pixels[:, 488:]


def has(pixels: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((pixels == color).all(axis=2).any())


def test_left_is_what_is_there_and_right_what_was_found() -> None:
    left, right = drawn(objects((10, 40, 30, 60)), objects(scores=[]))
    assert has(left, ORANGE) and not has(right, ORANGE)
    assert (right == 128).all()
    left, right = drawn(objects(), objects((10, 40, 30, 60), scores=[0.9]))
    assert has(right, ORANGE) and (left == 128).all()


def test_what_is_found_with_less_than_half_a_score_is_not_drawn() -> None:
    found = objects((10, 40, 30, 60), (50, 40, 70, 60), scores=[0.5, 0.49])
    _, right = drawn(objects(), found)
    assert has(right, ORANGE) and not has(right, BLUE)


def test_a_mask_colors_half_of_its_pixels_brightness() -> None:
    left, _ = drawn(objects((10, 40, 30, 60)), objects(scores=[]))
    assert left[250, 100].tolist() == [(128 + c) // 2 for c in ORANGE]
    assert left[350, 100].tolist() == [128, 128, 128]


@pytest.mark.parametrize("box", [(0, 0, 10, 5), (86, 0, 96, 96), (0, 90, 96, 96)])
def test_a_name_stays_within_its_half(box: tuple[float, float, float, float]) -> None:
    left, right = drawn(objects((0, 0, 1, 1), box), objects(scores=[]))
    names = (left == BLUE).all(axis=2).sum(axis=1).max()  # the longest row of the name's ground
    assert names >= 60 and (right == 128).all()
    assert (left == 0).all(axis=2).sum() > 50  # black letters


def test_color_and_half_precision_are_drawn_alike() -> None:
    truth, found = objects((10, 40, 30, 60)), objects((12, 40, 30, 60), scores=[0.75])
    halves = {key: value.bfloat16() if value.is_floating_point() else value for key, value in found.items()}
    image = torch.full((3, 96, 96), 0.5)
    assert draw_detections(image, truth, halves, NAMES) == draw_detections(image, truth, found, NAMES)


def test_names_of_many_objects_cover_no_picture() -> None:
    """369 small ones and a large one: only the large one's name fits into its box, and two names never meet."""
    small = [(4 * (i % 24), 4 * (i // 24), 4 * (i % 24) + 3, 4 * (i // 24) + 3) for i in range(369)]
    left, _ = drawn(objects(*small), objects(scores=[]))
    plain, _ = drawn(objects(*small[:1]), objects(scores=[]))
    black = (left == 0).all(axis=2).sum()
    assert black == 0 < (plain == 0).all(axis=2).sum()  # letters are black, and only they
    left, _ = drawn(objects(*small, (0, 40, 90, 90)), objects(scores=[]))
    assert (left == 0).all(axis=2).sum() > 0
    same = [(10, 30, 90, 90)] * 26
    left, _ = drawn(objects(*same), objects(scores=[]))
    one, _ = drawn(objects(same[0]), objects(scores=[]))
    assert (left == 0).all(axis=2).sum() == (one == 0).all(axis=2).sum()
