"""Packs Fashion-MNIST into gnexp/data/generated/fashion_mnist.npz: 20,000 training images and all 10,000 test images.

    sudo apt-get install dataset-fashion-mnist
    python scripts/pack_fashion_mnist.py [FOLDER] [--output FILE]

The choice is a function of the seed and the image's index alone: within each class, images are ordered by the SHA-256
of "gnexp/fashion-mnist/<seed>/<index>" and the first 2,000 are kept. Classes are then interleaved 0..9, so that any
prefix of 10k images is class-balanced. The archive carries no timestamps: one zlib makes one file, byte for byte.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

SOURCE = Path("/usr/share/datasets/fashion-mnist")
OUTPUT = Path(__file__).resolve().parent.parent / "gnexp" / "data" / "fashion_mnist.npz"
SEED = 1803
NUM_PER_CLASS = 2000
NUM_CLASSES = 10
MAX_BYTES = 14_000_000
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip archive can name

Bytes = npt.NDArray[np.uint8]


def read_idx(path: Path) -> Bytes:
    """Reads an idx file of unsigned bytes: a magic number whose last byte counts the dimensions, sizes, then values."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} must be an idx file of unsigned bytes, got magic {content[:4].hex()}")
    num_dimensions = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=num_dimensions, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * num_dimensions).reshape(shape)


def choose(labels: Bytes) -> npt.NDArray[np.int64]:
    """Indices of the images kept, class-balanced and interleaved: entry i is of class i mod 10."""
    columns = []
    for label in range(NUM_CLASSES):
        members = np.flatnonzero(labels == label).tolist()
        members.sort(
            key=lambda index: hashlib.sha256(f"gnexp/fashion-mnist/{SEED}/{index}".encode()).digest()
        )
        columns.append(members[:NUM_PER_CLASS])
    return np.array(columns, dtype=np.int64).T.reshape(-1)


def write_npz(path: Path, arrays: dict[str, npt.NDArray[np.generic]]) -> bytes:
    """Writes what np.savez_compressed would, without its timestamps and at the highest compression level."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, member.getvalue())
    path.write_bytes(archive.getvalue())
    return archive.getvalue()


def main() -> int:
    """Packs, and prints the file's size and SHA-256."""
    parser = argparse.ArgumentParser(description="Packs part of Fashion-MNIST into one file.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=SOURCE, help=f"holds the *-ubyte.gz files ({SOURCE})"
    )
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="file to write (gnexp/data/generated/fashion_mnist.npz)"
    )
    arguments = parser.parse_args()
    try:
        train_images, train_labels, test_images, test_labels = (
            read_idx(arguments.folder / f"{split}-{content}-ubyte.gz")
            for split in ("train", "t10k")
            for content in ("images-idx3", "labels-idx1")
        )
    except FileNotFoundError as error:
        print(
            f"{error.filename} is missing: install Debian's package (apt-get install dataset-fashion-mnist), "
            "or unpack it with dpkg -x and name its folder",
            file=sys.stderr,
        )
        return 2
    indices = choose(train_labels)
    content = write_npz(
        arguments.output,
        {
            "train_images": train_images[indices],
            "train_labels": train_labels[indices],
            "train_indices": indices.astype("<u2"),
            "test_images": test_images,
            "test_labels": test_labels,
        },
    )
    print(f"{arguments.output}: {len(content):,} bytes")
    print(f"sha256 {hashlib.sha256(content).hexdigest()}  (goes into gnexp/data/generated/fashion_mnist.py)")
    if len(content) > MAX_BYTES:
        print(f"the file must be at most {MAX_BYTES:,} bytes", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
