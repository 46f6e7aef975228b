"""Sets that are generated from the embedded garments on first use, each in a folder of its own below data.root."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from gnexp.config import DataConfig
from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.kinds.fashion import NUM_HELD_OUT
from gnexp.system.files import locked_folder

_LOCK = ".make.lock"
Garments = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]  # (N, 28, 28), and their labels, (N,)


def made_folder(config: DataConfig, settings: object, fill: Callable[[Path], None]) -> Path:
    """The folder of a set; the first time, has it generated.

    Args:
        config: of the data set; root, num_train and num_val are given.
        settings: all that the set depends on beside its numbers; part of the folder's name.
        fill: generates the set in a folder that is not there yet.

    Raises:
        ValueError: a folder that cannot be written.
    """
    assert config.folder is not None
    whole = hashlib.sha256(repr((settings, config.num_train, config.num_val)).encode()).hexdigest()
    name = f"{config.num_train}-{config.num_val}-{whole[:12]}"
    folder = Path(config.folder).expanduser().absolute() / name
    try:
        if not folder.is_dir():
            with locked_folder(folder.parent, _LOCK):
                if not folder.is_dir():  # else another run has generated it meanwhile
                    _make(folder, fill)
    except OSError as error:
        raise ValueError(
            f"data.root must be a folder that can be written, got {config.folder}: {error.strerror or error}; mend "
            "that, or give another"
        ) from error
    return folder


def _make(folder: Path, fill: Callable[[Path], None]) -> None:
    """Generates a set beside its place and renames it, so that nobody sees half of it."""
    for leftover in folder.parent.glob(".*.tmp"):  # of a run that was killed; no other generates any now
        shutil.rmtree(leftover)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        fill(temporary)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_is_given(config: DataConfig) -> None:
    """Raises ValueError where a generated set lacks its numbers or its place."""
    given = {"num_train": config.num_train, "num_val": config.num_val, "root": config.folder}
    for key, value in given.items():
        if value is None:
            raise ValueError(f"data.{key} must be given for kind {config.kind}, got none")


def check_made(config: DataConfig, fingerprint: str, folder: Path, what: str) -> None:
    """Raises ValueError where what was generated is not what config.sha256 says; `what` it is, for the error."""
    if config.sha256 not in (None, fingerprint):
        raise ValueError(
            f"data={config.name} gave {what} with sha256 {fingerprint}, its config expects {config.sha256}; "
            f"give data.sha256=null or the new value, or remove {folder}"
        )


def split_garments(val_source: str | None) -> dict[str, Garments]:
    """The garments of each split: for val the test garments or, for "train", training garments that are held out.

    Training garments are the same ones either way, so that a choice made on val_source=train holds.
    """
    garments = load_fashion_mnist()
    cut = len(garments.train_images) - NUM_HELD_OUT
    val = garments.test_images, garments.test_labels
    if val_source == "train":
        val = garments.train_images[cut:], garments.train_labels[cut:]
    return {"train": (garments.train_images[:cut], garments.train_labels[:cut]), "val": val}


def with_progress(config: DataConfig, split: str, unit: str) -> Iterator[int]:
    """The indices of a split that is being generated, with a bar on a terminal."""
    num = (config.num_train if split == "train" else config.num_val) or 0
    bar: Iterator[int] = tqdm(
        range(num), f"making {config.name}, {split}", unit=unit, leave=False, disable=not sys.stderr.isatty()
    )
    return bar
