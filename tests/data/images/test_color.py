"""The batched color augmentation against a plain float64 one, image by image, and its draws' statistics."""

import itertools
import math

import numpy as np
import pytest
import torch

from gnexp.data.images.color import (
    BRIGHTNESS,
    CONTRAST,
    SATURATION,
    ColorDraws,
    apply_maps,
    augment_color,
    color_maps,
    draw_color,
)

_WEIGHTS = np.array([0.299, 0.587, 0.114])
_EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
_EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


def _reference(image, factors, order, offset):
    """fb.resnet.torch's ColorJitter and Lighting on one (3, H, W) image in [0, 1], step by step."""
    image = image.astype(np.float64)
    for step in order:
        gray = np.tensordot(_WEIGHTS, image, axes=1)
        if step == BRIGHTNESS:
            other = np.zeros_like(image)
        elif step == CONTRAST:
            other = np.full_like(image, gray.mean())
        else:
            other = np.stack([gray] * 3)
        image = image * factors[step] + (1 - factors[step]) * other
    return image + offset[:, None, None]


def _images(num, dtype):
    pixels = np.random.default_rng(0).random((num, 3, 7, 9))
    return torch.from_numpy(pixels).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_equals_the_reference_in_every_order(dtype, tolerance):
    images, draws = _images(64, dtype), draw_color(1, 2, np.arange(64), jitter=0.4, lighting=0.1)
    assert len({tuple(order) for order in draws.orders}) == 6
    expected = [
        _reference(image.numpy(), *row)
        for image, *row in zip(images, draws.factors, draws.orders, draws.offsets, strict=True)
    ]
    before = images.clone()
    colored = augment_color(images, draws)
    assert colored.dtype == dtype
    np.testing.assert_allclose(colored.numpy(), np.stack(expected), rtol=0, atol=tolerance)
    assert torch.equal(images, before)
    assert colored.min() < 0 < 1 < colored.max()  # never clamped


def test_each_step_alone_does_what_its_name_says():
    image = _images(1, torch.float64)
    weights = torch.from_numpy(_WEIGHTS).view(1, 3, 1, 1)

    def apply(step, factor, offset=(0.0, 0.0, 0.0)):
        factors = np.ones((1, 3))
        factors[0, step] = factor
        return augment_color(image, ColorDraws(factors, np.array([[0, 1, 2]]), np.array([offset])))

    torch.testing.assert_close(apply(BRIGHTNESS, 0.5), image * 0.5)
    gray = (image * weights).sum(1, keepdim=True)
    torch.testing.assert_close(apply(CONTRAST, 0.0), gray.mean().expand_as(image))
    torch.testing.assert_close(apply(SATURATION, 0.0), gray.expand_as(image))
    shifted = apply(BRIGHTNESS, 1.0, (0.1, -0.2, 0.3))
    torch.testing.assert_close(
        shifted - image, torch.tensor([0.1, -0.2, 0.3]).double().view(1, 3, 1, 1).expand_as(image)
    )


def test_an_images_colors_do_not_depend_on_its_batch():
    draws = draw_color(3, 4, np.arange(100), jitter=0.4, lighting=0.1)
    one = draw_color(3, 4, np.array([17]), jitter=0.4, lighting=0.1)
    for all_drawn, drawn in (
        (draws.factors, one.factors),
        (draws.orders, one.orders),
        (draws.offsets, one.offsets),
    ):
        assert np.array_equal(all_drawn[17], drawn[0])


@pytest.mark.parametrize("key", [(1, 0), (0, 1)])
def test_seed_and_epoch_change_the_draws(key):
    one, other = (draw_color(*k, np.arange(50), jitter=0.4, lighting=0.1) for k in ((0, 0), key))
    assert not np.isclose(one.factors, other.factors).any()
    assert not np.isclose(one.offsets, other.offsets).any()
    assert (one.orders != other.orders).any()


def test_draws_have_the_papers_distributions():
    num, jitter, lighting = 60_000, 0.4, 0.1
    draws = draw_color(0, 0, np.arange(num), jitter=jitter, lighting=lighting)
    assert 1 - jitter <= draws.factors.min() < 0.601 and 1.399 < draws.factors.max() <= 1 + jitter
    np.testing.assert_allclose(draws.factors.mean(0), 1, atol=0.005)
    np.testing.assert_allclose(draws.factors.std(0), 2 * jitter / math.sqrt(12), atol=0.002)
    assert np.abs(np.corrcoef(draws.factors.T) - np.eye(3)).max() < 0.02
    counts = np.unique(draws.orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    np.testing.assert_allclose(counts / num, 1 / 6, atol=0.006)
    # The offsets are normal with covariance V diag((lighting * eigenvalue)^2) V^T.
    scaled = _EIGENVECTORS * (lighting * _EIGENVALUES)
    weights = np.linalg.solve(scaled, draws.offsets.T)  # back to the standard normals
    np.testing.assert_allclose(weights.mean(1), 0, atol=0.015)
    np.testing.assert_allclose(np.cov(weights), np.eye(3), atol=0.02)
    np.testing.assert_allclose((np.abs(weights) < 1).mean(1), 0.6827, atol=0.008)


def test_nothing_to_do_changes_nothing():
    images = _images(5, torch.float32)
    draws = draw_color(0, 0, np.arange(5), jitter=0.0, lighting=0.0)
    torch.testing.assert_close(augment_color(images, draws), images, rtol=0, atol=1e-6)


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ORDERS = np.array(list(itertools.permutations((BRIGHTNESS, CONTRAST, SATURATION))))


def _pixels(num, height=7, width=9):
    return torch.from_numpy(
        np.random.default_rng(1).integers(0, 256, (num, 3, height, width), dtype=np.uint8)
    )


def _stepwise(pixels, draws):
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (augment_color(pixels.double() / 255, draws) - mean) / std


def _mapped(pixels, draws, dtype=torch.float64):
    return apply_maps(pixels, torch.from_numpy(color_maps(draws, MEAN, STD)).to(dtype))


@pytest.mark.parametrize("order", ORDERS.tolist())
@pytest.mark.parametrize(("jitter", "lighting"), [(0.4, 0.1), (0.4, 0.0), (0.0, 0.1), (1.0, 3.0)])
def test_the_affine_map_is_the_steps_to_the_last_digits(order, jitter, lighting):
    pixels, drawn = _pixels(50), draw_color(5, 6, np.arange(50), jitter=jitter, lighting=lighting)
    draws = ColorDraws(drawn.factors, np.tile(order, (50, 1)), drawn.offsets)
    expected = _stepwise(pixels, draws)
    np.testing.assert_allclose(_mapped(pixels, draws).numpy(), expected.numpy(), rtol=0, atol=1e-12)
    assert (expected - (pixels.double() / 255 - 0.45) / 0.225).abs().max() > 0.1  # it does something


def test_the_affine_map_in_float32_and_in_mixed_orders():
    pixels, draws = _pixels(40, 224, 224), draw_color(1, 2, np.arange(40), jitter=0.4, lighting=0.1)
    before, got = pixels.clone(), _mapped(pixels, draws, torch.float32)
    assert got.dtype == torch.float32 and got.is_contiguous() and torch.equal(pixels, before)
    np.testing.assert_allclose(got.numpy(), _stepwise(pixels, draws).numpy(), rtol=0, atol=5e-6)


def test_a_mapped_image_does_not_depend_on_its_batch():
    pixels, draws = _pixels(12, 40, 30), draw_color(3, 4, np.arange(12), jitter=0.4, lighting=0.1)
    together = _mapped(pixels, draws, torch.float32)
    for i in range(12):
        alone = draw_color(3, 4, np.array([i]), jitter=0.4, lighting=0.1)
        assert torch.equal(_mapped(pixels[i : i + 1], alone, torch.float32)[0], together[i])
    # What a GPU does, all images in one product, is the same but for rounding.
    maps = torch.from_numpy(color_maps(draws, MEAN, STD)).float()
    values = pixels.float().flatten(2)
    shift = maps[:, :, 3:6] @ values.mean(2, keepdim=True) + maps[:, :, 6:]
    torch.testing.assert_close(
        (maps[:, :, :3] @ values + shift).view(together.shape), together, rtol=0, atol=1e-5
    )


def test_no_images_give_none():
    assert _mapped(_pixels(0), draw_color(0, 0, np.arange(0), jitter=0.4, lighting=0.1)).shape == (0, 3, 7, 9)
