"""The embedded garments: 20,000 training and all 10,000 test images of Fashion-MNIST (fashion_mnist.LICENSE.md)."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FILE = Path(__file__).with_name("fashion_mnist.npz")
SHA256 = "54e70d4805d1f25442267e463d50d777111c2aa974bf3ed373f22a4fa95a042d"


@dataclass(frozen=True)
class FashionMnist:
    """Images and labels, both splits in memory. Training image i is of class i mod 10."""

    train_images: npt.NDArray[np.uint8]  # (20000, 28, 28)
    train_labels: npt.NDArray[np.uint8]  # (20000,)
    train_indices: npt.NDArray[np.uint16]  # (20000,), positions among the original 60,000
    test_images: npt.NDArray[np.uint8]  # (10000, 28, 28), in the original order
    test_labels: npt.NDArray[np.uint8]  # (10000,)
    sha256: str  # of the packed file


def load_fashion_mnist(path: Path = FILE) -> FashionMnist:
    """Reads the packed file (about 0.15 s).

    Raises:
        ValueError: the file is missing or is not the one that scripts/pack_fashion_mnist.py wrote.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(
            f"{path} is missing: the embedded images come with gnexp; install it again"
        ) from None
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != SHA256:
        raise ValueError(
            f"{path} must have sha256 {SHA256}, got {sha256}: the file is damaged; restore it with git or install again"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return FashionMnist(sha256=sha256, **{name: arrays[name] for name in arrays.files})
