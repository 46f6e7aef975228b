"""EuroSAT of a few photographs, in the layout that torchvision unpacks."""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from torchvision.datasets import eurosat as torchvision_eurosat
from torchvision.datasets.utils import download_and_extract_archive

from gnexp.data.images import eurosat
from gnexp.data.kinds.eurosat import EuroSatConfig

OFFICIAL = eurosat._MD5
COUNTS = {name: 5 + 5 * (label % 2) for label, name in enumerate(EuroSatConfig.counts)}  # 75


def write_eurosat(root: Path, patch: pytest.MonkeyPatch) -> Path:
    """Writes smooth random JPEGs and has their counts expected; returns the folder of the classes."""
    patch.setattr(EuroSatConfig, "counts", COUNTS)
    folder = root / "eurosat" / "2750"
    rng = np.random.default_rng(0)
    for name, num in COUNTS.items():
        (folder / name).mkdir(parents=True)
        for number in range(1, num + 1):
            coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            coarse.resize((64, 64)).save(folder / name / f"{name}_{number}.jpg", quality=90)
    return folder


def pack_eurosat(folder: Path) -> bytes:
    """The archive of the classes in a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*.jpg")):
            archive.write(path, path.relative_to(folder.parent))
    return buffer.getvalue()


def offer_eurosat(content: bytes, url: str, patch: pytest.MonkeyPatch) -> None:
    """Has torchvision fetch an archive from `url` and expect this content; the official one's MD5 is asked for."""
    found = hashlib.md5(content).hexdigest()

    def fetch(_: str, *, download_root: str, md5: str) -> None:
        assert md5 == OFFICIAL, "torchvision expects another archive"
        download_and_extract_archive(url, download_root, md5=found)

    patch.setattr(torchvision_eurosat, "download_and_extract_archive", fetch)
    patch.setattr(eurosat, "_MD5", found)


def decoded(path: Path) -> npt.NDArray[np.uint8]:
    """Pixels of a JPEG, (H, W, 3)."""
    with Image.open(path) as image:
        return np.array(image)
