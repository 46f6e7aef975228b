"""Color augmentation of ImageNet training: jitter in random order and PCA lighting, batched on the device.

Source: fb.resnet.torch (ColorJitter, Lighting), the code that the paper follows; PCA lighting is of AlexNet
(Krizhevsky et al. 2012, Section 4.1). Values are never clamped, as there.
"""

from __future__ import annotations

import itertools
import math
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
        lighting: standard deviation of each principal component's weight, in units of its eigenvalue.
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
    """Applies brightness, contrast and saturation in each image's own order, then lighting.

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
