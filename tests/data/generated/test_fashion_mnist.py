"""The embedded images: what they are, and that a damaged file is noticed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gnexp.data.generated.fashion_mnist import FILE, SHA256, load_fashion_mnist

_PACK = Path(__file__).parents[3] / "scripts" / "pack_fashion_mnist.py"
_SOURCE = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="module")
def garments():
    return load_fashion_mnist()


def test_shapes_and_types(garments):
    assert garments.train_images.shape == (20000, 28, 28)
    assert garments.test_images.shape == (10000, 28, 28)
    for images, labels in (
        (garments.train_images, garments.train_labels),
        (garments.test_images, garments.test_labels),
    ):
        assert images.dtype == labels.dtype == np.uint8
        assert len(images) == len(labels)
        assert (np.bincount(labels) == len(labels) // 10).all()
    assert garments.sha256 == SHA256


def test_training_prefixes_are_class_balanced(garments):
    assert (garments.train_labels == np.arange(20000) % 10).all()


def test_training_images_are_distinct_choices_of_the_original(garments):
    assert len(np.unique(garments.train_indices)) == 20000
    assert garments.train_indices.max() < 60000


def test_file_is_small_enough():
    assert FILE.stat().st_size <= 14_000_000


@pytest.mark.parametrize("position", [0, 5_000_000, -1])
def test_flipped_byte_is_noticed(tmp_path, position):
    content = bytearray(FILE.read_bytes())
    content[position] ^= 1
    damaged = tmp_path / "fashion_mnist.npz"
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        load_fashion_mnist(damaged)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.npz is missing"):
        load_fashion_mnist(tmp_path / "nowhere.npz")


def test_pack_says_how_to_get_the_source(tmp_path):
    done = subprocess.run([sys.executable, _PACK, tmp_path], capture_output=True, text=True)
    assert done.returncode == 2
    assert "apt-get install dataset-fashion-mnist" in done.stderr


@pytest.mark.data
@pytest.mark.skipif(not _SOURCE.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_packing_again_gives_the_same_images(tmp_path, garments):
    subprocess.run([sys.executable, _PACK, _SOURCE, "--output", tmp_path / "again.npz"], check=True)
    with np.load(tmp_path / "again.npz") as again:  # compared by content: another zlib may compress otherwise
        for name in again.files:
            assert np.array_equal(again[name], getattr(garments, name)), name
