"""Fashion-MNIST whole and CIFAR-10, downloaded once by torchvision, which knows where they are and their checksums."""

from __future__ import annotations

import contextlib
import io
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gnexp.data.in_memory import InMemoryDataset, Split
from gnexp.data.kinds.downloaded import DownloadedConfig
from gnexp.system.files import locked_folder

_TIMEOUT = 20  # seconds that a server may be silent
LOCK = ".download.lock"


def open_downloaded(config: DownloadedConfig, device: torch.device) -> InMemoryDataset:
    """Reads every image from data.root; the first time, downloads them into it.

    Raises:
        ValueError: a setting that this kind does not have, more images asked for than there are, or files that can
            neither be read nor downloaded.
    """
    root = root_folder(config)
    train, val = _find(config, root)
    return InMemoryDataset(
        config,
        device,
        train.first(config.num_train, "data.num_train"),
        val.first(config.num_val, "data.num_val"),
    )


def root_folder(config: DownloadedConfig) -> Path:
    """data.root, absolute; it need not be there yet.

    Raises:
        ValueError: none is given, or it is a file.
    """
    if config.root is None:
        raise ValueError(f"data.root must be a folder, got none; data={config.name} keeps its files there")
    root = Path(config.root).expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise ValueError(f"data.root must be a folder, got {root}, which is a file; give another")
    return root


def _find(config: DownloadedConfig, root: Path) -> tuple[Split, Split]:
    from torchvision import datasets  # seconds

    source = getattr(datasets, config.torchvision)
    with contextlib.suppress(Exception):  # not there or not whole; torchvision raises RuntimeError and more
        return _read(source, root)
    archives = _archives(source, root)
    try:
        with locked_folder(root, LOCK):
            with contextlib.suppress(Exception):  # another run has downloaded them meanwhile
                return _read(source, root)
            if not all(archive.is_file() for archive in archives):
                print(f"downloading {config.torchvision}, {config.megabytes} MB, into {root}", flush=True)
            _remove_unpacked(archives)
            return _download(source, root)
    except Exception as error:  # no network, a full disk, a wrong checksum: OSError, RuntimeError and more
        raise not_downloaded(config, root, archives, error) from error


def not_downloaded(
    config: DownloadedConfig, root: Path, archives: dict[Path, str], error: Exception
) -> ValueError:
    """The line of a set that is neither there nor can be fetched.

    Args:
        config: of the set.
        root: where it was looked for.
        archives: the files that a person can put there by hand, all in one folder, and their MD5.
        error: what came of the download.
    """
    reason = " ".join(str(error).split()) or type(error).__name__
    damaged = [
        archive for archive in archives if archive.is_file() and not is_whole(archive, archives[archive])
    ]
    if damaged:
        reason += f" ({', '.join(archive.name for archive in damaged)} has the wrong MD5)"
    files, folder = ", ".join(archive.name for archive in archives), next(iter(archives)).parent
    return ValueError(
        f"{config.torchvision} must be in {root}, is not there or not whole, and cannot be downloaded: {reason}; try "
        f"again with a network ({config.megabytes} MB), put {files} into {folder}, or give "
        "data.root=/the/folder/that/has/it"
    )


def _read(source: Any, root: Path, *, download: bool = False) -> tuple[Split, Split]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchvision's own code: nothing that a user could mend
        train, val = (source(root, train=is_train, download=download) for is_train in (True, False))
    return _split(train), _split(val)


def _split(loaded: Any) -> Split:
    images = np.asarray(loaded.data)
    if images.ndim == 4:
        images = images.transpose(0, 3, 1, 2)  # CIFAR10 has channels last
    return Split(images, np.asarray(loaded.targets, dtype=np.uint8))


def _download(source: Any, root: Path) -> tuple[Split, Split]:
    with patient():
        return _read(source, root, download=True)


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Downloads by torchvision show a bar on a terminal only, and a server that says nothing is not waited for."""
    silence = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)  # torchvision sets none, and a server that drops packets takes minutes
    try:
        with contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(silence)


def _archives(source: Any, root: Path) -> dict[Path, str]:
    """Where torchvision looks for archives before it downloads them, and their MD5."""
    if hasattr(source, "resources"):
        return {root / source.__name__ / "raw" / name: md5 for name, md5 in source.resources}
    return {root / source.filename: source.tgz_md5}


def is_whole(archive: Path, md5: str) -> bool:
    """Whether an archive is there and has this MD5."""
    from torchvision.datasets.utils import check_integrity

    return bool(check_integrity(archive, md5))


def _remove_unpacked(archives: dict[Path, str]) -> None:
    """Removes what can be unpacked again: torchvision takes a file of FashionMNIST that was cut short for whole."""
    for archive in archives:
        unpacked = archive.with_suffix("")
        if unpacked.is_file() and is_whole(archive, archives[archive]):
            unpacked.unlink()
