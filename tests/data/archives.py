"""Fashion-MNIST and CIFAR-10 of a few images, in the formats that torchvision reads."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from torchvision.datasets import CIFAR10, FashionMNIST

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def images_of(num: int, *shape: int) -> Arrays:
    """Random images, (num, *shape), and labels 0 to 9 in turn."""
    images = np.random.default_rng(num).integers(0, 256, (num, *shape), dtype=np.uint8)
    return images, np.arange(num, dtype=np.uint8) % 10


def write_fashion_mnist(root: Path, train: Arrays, test: Arrays, patch: pytest.MonkeyPatch) -> Path:
    """Writes the four archives where torchvision looks for them and gives it their checksums.

    Returns:
        Their folder.
    """
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    resources = []
    for prefix, (images, labels) in (("train", train), ("t10k", test)):
        for array, name in ((images, "images-idx3"), (labels, "labels-idx1")):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)  # 8: unsigned bytes
            archive = folder / f"{prefix}-{name}-ubyte.gz"
            archive.write_bytes(gzip.compress(header + array.tobytes()))
            resources.append((archive.name, hashlib.md5(archive.read_bytes()).hexdigest()))
    patch.setattr(FashionMNIST, "resources", resources)
    return folder


def pack_cifar10(train: Arrays, test: Arrays, patch: pytest.MonkeyPatch) -> bytes:
    """The archive, train in five files; gives torchvision the checksums.

    Args:
        train: (N, 3, 32, 32) and (N,), N a multiple of 5.
        test: likewise.
        patch: sets torchvision's lists of files.
    """
    parts = zip(np.split(train[0], 5), np.split(train[1], 5), strict=True)
    batches = {f"data_batch_{i}": part for i, part in enumerate(parts, start=1)} | {"test_batch": test}
    contents = {
        name: pickle.dumps({"data": images.reshape(len(images), -1), "labels": labels.tolist()}, protocol=2)
        for name, (images, labels) in batches.items()
    }
    contents["batches.meta"] = pickle.dumps({"label_names": [str(i) for i in range(10)]}, protocol=2)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    patch.setattr(CIFAR10, "train_list", [[name, md5[name]] for name in contents if "data" in name])
    patch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    patch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5["batches.meta"]})
    patch.setattr(CIFAR10, "tgz_md5", hashlib.md5(buffer.getvalue()).hexdigest())
    return buffer.getvalue()
