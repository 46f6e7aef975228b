"""EuroSAT: 27,000 photographs of the ground, fetched once by torchvision, decoded at each start, split by key.

To decode all that a run needs takes 4 s of one core, so nothing is kept but the files.

Source: Helber, Bischke, Dengel & Borth 2019, "EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land Use and
Land Cover Classification". It has no split of its own.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from gnexp.data.dataset import check_num
from gnexp.data.images.decode import UnreadableImageError, read_image
from gnexp.data.images.downloaded import LOCK, is_whole, not_downloaded, patient, root_folder
from gnexp.data.in_memory import InMemoryDataset, Split
from gnexp.data.kinds.eurosat import SIDE, EuroSatConfig
from gnexp.ops import keyed
from gnexp.system.files import locked_folder
from gnexp.system.names import shown

_MD5 = "c8fa014336c82ac7804f0398fcb19387"  # of EuroSAT.zip, as torchvision has it
_SPLIT_SEED = 0
_FIFTH = 5  # the parts, of which one is val and one is held out for searching


@dataclass(frozen=True)
class Photograph:
    """One of the files, by its class and its number there."""

    label: int
    name: str  # of the class
    number: int

    @property
    def file(self) -> str:
        """Its path below the folder of the classes."""
        return f"{self.name}/{self.name}_{self.number}.jpg"


def open_eurosat(config: EuroSatConfig, device: torch.device) -> InMemoryDataset:
    """Decodes the photographs of train and val from data.root; the first time, downloads all into it.

    Raises:
        ValueError: more images asked for than there are, or files that are missing, damaged or too many, or that
            cannot be downloaded.
    """
    root = root_folder(config)
    folder = root / config.unpacked
    train, val = split_photographs(config.counts, config.val_source)
    check_num(config.num_train, len(train), "data.num_train", "the images that there are")
    check_num(config.num_val, len(val), "data.num_val", "the images that there are")
    if not folder.exists():
        _fetch(config, root, folder)
    _check_names(folder, config.counts)
    wanted = [*train[: config.num_train], *val[: config.num_val]]
    images = _decode(folder, wanted, config.image_size)
    labels = np.array([photograph.label for photograph in wanted], dtype=np.uint8)
    cut = len(train[: config.num_train])
    return InMemoryDataset(
        config, device, Split(images[:cut], labels[:cut]), Split(images[cut:], labels[cut:])
    )


def split_photographs(
    counts: Mapping[str, int], val_source: str | None
) -> tuple[list[Photograph], list[Photograph]]:
    """Those to train on, the same whatever val_source is, and those to score.

    Each class is shuffled by a key of its name and the file's number, and the classes are merged in step. The first
    fifth of that order is val and the second is held out for searching, so that each class gives a fifth of its own to
    both. What starts any of the three has the classes in proportion.

    Args:
        counts: photographs of each class.
        val_source: "train" scores those held out; None, val.
    """
    photographs: list[Photograph] = []
    places: list[npt.NDArray[np.float64]] = []  # in the order of their class, in (0, 1)
    for label, name in enumerate(sorted(counts)):
        numbers = range(1, counts[name] + 1)
        photographs += [Photograph(label, name, number) for number in numbers]
        bits = keyed.bits(_SPLIT_SEED, f"eurosat/{name}", 0, numbers)[:, 0]
        ranks = np.argsort(np.argsort(bits, kind="stable"), kind="stable")
        places.append((ranks + 0.5) / counts[name])
    order = [photographs[i] for i in np.argsort(np.concatenate(places), kind="stable")]
    fifth = round(len(order) / _FIFTH)
    val = order[fifth : 2 * fifth] if val_source == "train" else order[:fifth]
    return order[2 * fifth :], val


def halve(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Means of 2 x 2 pixels, a half rounded up: (H, W, C) -> (H / 2, W / 2, C)."""
    wide = pixels.astype(np.uint16)
    sums = wide[::2, ::2] + wide[::2, 1::2] + wide[1::2, ::2] + wide[1::2, 1::2]
    return ((sums + 2) // 4).astype(np.uint8)


def _fetch(config: EuroSatConfig, root: Path, folder: Path) -> None:
    """Downloads the archive, unless it is there, and unpacks it beside its place: nobody sees half of it."""
    from torchvision.datasets import EuroSAT  # seconds

    archive = folder.parent / "EuroSAT.zip"
    temporary = folder.parent / ".unpacking.tmp"
    unpacked = temporary / folder.relative_to(root)
    try:
        with locked_folder(folder.parent, LOCK):
            if folder.exists():  # another run has fetched them meanwhile
                return
            shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
            unpacked.parent.mkdir(parents=True)
            # torchvision unpacks where it finds the archive. What is downloaded lands at the link's other end.
            (unpacked.parent / archive.name).symlink_to(archive)
            is_here = is_whole(archive, _MD5)
            doing = "unpacking EuroSAT" if is_here else f"downloading EuroSAT, {config.megabytes} MB,"
            print(f"{doing} into {folder.parent}", flush=True)
            try:
                with patient():
                    EuroSAT(temporary, download=True)
                os.rename(unpacked, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except Exception as error:  # no network, a full disk, a wrong checksum: OSError, RuntimeError and more
        raise not_downloaded(config, root, {archive: _MD5}, error) from error


def _check_names(folder: Path, counts: Mapping[str, int]) -> None:
    """Raises ValueError where a file is missing or too many; other copies of EuroSAT would be split otherwise."""
    expected = {name: {f"{name}_{number}.jpg" for number in range(1, counts[name] + 1)} for name in counts}
    try:
        found = {name: _names(folder / name) for name in _names(folder)}
    except OSError as error:
        raise ValueError(
            f"cannot list {shown(str(error.filename))}: {error.strerror}; {_remedy(folder)}"
        ) from error
    for name in sorted(counts):
        missing = sorted(expected[name] - found.get(name, set()))
        if missing:
            raise ValueError(
                f"EuroSAT has {counts[name]:,} photographs of {name}, {folder / name} lacks {len(missing):,} of them, "
                f"{missing[0]} first; {_remedy(folder)}"
            )
    for name in sorted(found):
        others = sorted(found[name] - expected.get(name, set()))
        if name not in counts or others:
            other = "/".join([name, *others[:1]])
            raise ValueError(
                f"EuroSAT has no {shown(other)}, but {folder} has; remove it or give another data.root"
            )


def _names(folder: Path) -> set[str]:
    return {name for name in os.listdir(folder) if not name.startswith(".")}


def _decode(folder: Path, photographs: Sequence[Photograph], size: int) -> npt.NDArray[np.uint8]:
    """(N, 3, size, size)."""
    images = np.empty((len(photographs), 3, size, size), dtype=np.uint8)
    for i, photograph in enumerate(_with_progress(photographs)):
        path = folder / photograph.file
        try:
            pixels = np.asarray(read_image(str(path)))
        except UnreadableImageError as error:
            raise ValueError(f"cannot read the image {path}: {error.reason}; {_remedy(folder)}") from error
        if pixels.shape != (SIDE, SIDE, 3):
            height, width, _ = pixels.shape
            raise ValueError(
                f"{path} must be {SIDE} x {SIDE} pixels, got {width} x {height}; {_remedy(folder)}"
            )
        images[i] = (pixels if size == SIDE else halve(pixels)).transpose(2, 0, 1)
    return images


def _with_progress(photographs: Sequence[Photograph]) -> Iterable[Photograph]:
    """A bar on a terminal, a line elsewhere; of a run's processes the first tells."""
    is_first = os.environ.get("RANK", "0") == "0"
    is_terminal = sys.stderr.isatty()
    if is_first and not is_terminal:
        print(f"decoding {len(photographs):,} photographs of EuroSAT", flush=True)
    bar: Iterable[Photograph] = tqdm(
        photographs, "decoding EuroSAT", unit="image", leave=False, disable=not (is_first and is_terminal)
    )
    return bar


def _remedy(folder: Path) -> str:
    return f"put it right, or remove {folder} to have it unpacked or downloaded again"
