"""Color augmentation of ImageNet training: jitter in random order and PCA lighting, one affine map an image.

Source: fb.resnet.torch (ColorJitter, Lighting), the code that the paper follows; PCA lighting is of AlexNet
(Krizhevsky et al. 2012, Section 4.1). Values are never clamped, as there. torchvision's ColorJitter clamps after each
step and rounds to 8 bits, so it is another augmentation, not a reference for this one.

`augment_color` is the plain way, step by step; `color_maps` and `apply_maps` are the fast one, equal in float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gnexp.data.dataset import Indices
from gnexp.ops import keyed

BRIGHTNESS, CONTRAST, SATURATION = 0, 1, 2

_ORDERS = np.array(list(itertools.permutations((BRIGHTNESS, CONTRAST, SATURATION))))
_GRAY = (0.299, 0.587, 0.114)  # of R, G, B: ITU-R BT.601 luma
_EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])  # of ImageNet's RGB covariance, pixels in [0, 1]
_EIGENVECTORS = np.array(  # one per column, rows R, G, B
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)


@dataclass(frozen=True)
class ColorDraws:
    """What was drawn for each of N images."""

    factors: npt.NDArray[np.float64]  # (N, 3): of brightness, contrast and saturation, 1 = unchanged
    orders: npt.NDArray[np.int64]  # (N, 3): BRIGHTNESS, CONTRAST, SATURATION as they are applied
    offsets: npt.NDArray[np.float64]  # (N, 3): PCA lighting, added to R, G and B in [0, 1]


def draw_color(seed: int, epoch: int, indices: Indices, *, jitter: float, lighting: float) -> ColorDraws:
    """Draws the color augmentation of each sample by (seed, epoch, sample index).

    Args:
        seed: the run's seed.
        epoch: the epoch.
        indices: sample indices, (N,).
        jitter: half width of the factors' uniform range around 1.
        lighting: std of each principal component's weight, in units of its eigenvalue.
    """
    draws = keyed.uniform(seed, "color", epoch, indices, 8)
    factors = 1 + jitter * (2 * draws[:, :3] - 1)
    orders = _ORDERS[np.floor(draws[:, 3] * len(_ORDERS)).astype(np.int64)]
    # Box-Muller; 1 - u is in (0, 1], so the logarithm is finite. Four normals, of which three are used.
    radius = np.sqrt(-2 * np.log(1 - draws[:, 4:6]))
    angle = 2 * math.pi * draws[:, 6:8]
    normals = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :3]
    weights = lighting * normals * _EIGENVALUES
    # Not a matrix product: BLAS would round an image's offsets by the size of its batch.
    return ColorDraws(factors, orders, (weights[:, None, :] * _EIGENVECTORS).sum(axis=2))


def augment_color(images: torch.Tensor, draws: ColorDraws) -> torch.Tensor:
    """The reference: brightness, contrast and saturation in each image's own order, then lighting.

    Each step blends the image with a reference: factor * image + (1 - factor) * reference. The reference is
    black for brightness, the mean of the gray image for contrast, the gray image for saturation. Every step
    makes the references of all images, because the images of a batch have different orders.

    Args:
        images: (N, 3, H, W) float RGB in [0, 1]; left as it is.
        draws: of the same N images.

    Returns:
        (N, 3, H, W), of the images' dtype, unclamped.
    """
    orders = torch.from_numpy(draws.orders).to(images.device)
    factors = torch.from_numpy(np.take_along_axis(draws.factors, draws.orders, axis=1)).to(images)
    for position in range(orders.shape[1]):
        step, factor = orders[:, position, None, None, None], factors[:, position, None, None, None]
        gray = _gray(images)
        mean = gray.mean(dim=(1, 2, 3), keepdim=True)
        reference = torch.where(step == SATURATION, gray, mean * (step == CONTRAST))
        images = factor * images + (1 - factor) * reference
    return images + torch.from_numpy(draws.offsets).to(images)[:, :, None, None]


def _gray(images: torch.Tensor) -> torch.Tensor:
    red, green, blue = (weight * channel for weight, channel in zip(_GRAY, images.unbind(1), strict=True))
    return (red + green + blue).unsqueeze(1)


def color_maps(draws: ColorDraws, mean: Sequence[float], std: Sequence[float]) -> npt.NDArray[np.float64]:
    """Each image's jitter, lighting and normalization, as one map of its pixels and of their mean.

    Unclamped, every step is affine in a pixel's RGB x, and contrast's mean gray is affine in the image's mean RGB m,
    through whatever steps come before it. So is the whole: A x + K m + c. No pixel is needed to compose it.

    Args:
        draws: of N images.
        mean: of R, G, B in [0, 1].
        std: likewise.

    Returns:
        (N, 3, 7): A, K and c side by side, for x and m in 0..255.
    """
    gray = np.array(_GRAY)[:, None]
    maps = np.zeros((len(draws.factors), 3, 7))
    maps[:, :, :3] = np.eye(3) / 255
    factors = np.take_along_axis(draws.factors, draws.orders, axis=1)
    for position in range(draws.orders.shape[1]):
        step, factor = draws.orders[:, position, None, None], factors[:, position, None, None]
        averaged = maps.copy()  # what the image's mean has become: A m + K m + c
        averaged[:, :, 3:6] += averaged[:, :, :3]
        averaged[:, :, :3] = 0
        blended = np.where(step == SATURATION, maps, averaged * (step == CONTRAST))
        # Not a matrix product, as above: the same bits in every batch.
        maps = factor * maps + (1 - factor) * (gray * blended).sum(axis=1, keepdims=True)
    maps[:, :, 6] += draws.offsets - np.array(mean)
    maps /= np.array(std)[:, None]
    return maps


def apply_maps(images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """A x + K m + c for every pixel x of each image, m the image's mean: one batched product.

    Args:
        images: (N, 3, H, W) uint8; left as they are.
        maps: those of color_maps, on the images' device; their dtype is what is computed in.

    Returns:
        (N, 3, H, W), of the maps' dtype.
    """
    pixels = images.flatten(2)
    colored = torch.empty(pixels.shape, dtype=maps.dtype, device=images.device)
    # Of a CPU's cache one image is enough, and the product is the same; a GPU takes all at once.
    size = 1 if images.device.type == "cpu" else max(1, len(images))
    for start in range(0, len(images), size):
        map_ = maps[start : start + size]
        part = pixels[start : start + size].to(maps.dtype)
        # In float32 the sum behind the mean is exact up to 256 x 256 pixels: integers below 2^24.
        shift = torch.baddbmm(map_[:, :, 6:], map_[:, :, 3:6], part.mean(dim=2, keepdim=True))
        torch.baddbmm(shift, map_[:, :, :3], part, out=colored[start : start + size])
    return colored.view(images.shape)
