"""Photographs in class folders, root/{train,val}/<class>/<image>, as a Dataset.

Loader processes decode and crop; the device colors and normalizes.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from gnexp.config import DataConfig
from gnexp.data.color import augment_color, draw_color
from gnexp.data.dataset import Batch, Batches, Indices
from gnexp.data.decode import NUM_CROP_DRAWS, Pixels, center_crop, random_crop, read_image
from gnexp.data.image_files import ImageFiles, scan_images
from gnexp.ops import keyed
from gnexp.signals import leave_group

_PIECE = 32  # images that a loader process hands over at once: a few MB of shared memory, whatever the batch


class ImageFolder:
    """Training: random-resized crop, flip, color. Evaluation: shorter side resized, centre crop."""

    def __init__(self, config: DataConfig, device: torch.device) -> None:
        """Lists the files; opens none.

        Raises:
            ValueError: a setting that this kind cannot follow, or a folder that is missing or not what
                config says.
        """
        _check_settings(config)
        root = _find_root(config)
        train, val = scan_images(str(root / "train")), scan_images(str(root / "val"))
        _check_classes(train, val, config)
        self.fingerprint = hashlib.sha256(f"train {train.digest}\nval {val.digest}\n".encode()).hexdigest()
        if config.sha256 not in (None, self.fingerprint):
            raise ValueError(
                f"data.sha256 must be the fingerprint of the files in {root}, got {config.sha256}, they have "
                f"{self.fingerprint}; mend the folder, or give data.sha256=null or the new value"
            )
        self._train = train.first(config.num_train, "data.num_train")
        self._val = val.first(config.num_val, "data.num_val")
        self.num_train, self.num_val = len(self._train.labels), len(self._val.labels)
        self._config, self._device = config, device
        self._mean = torch.tensor(config.mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(config.std, device=device).view(1, -1, 1, 1)

    def train_batches(self, seed: int, epoch: int, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, cropped, flipped and colored by (seed, epoch, sample index).

        Raises:
            ValueError: an image that cannot be read.
        """
        jitter, lighting = self._config.jitter or 0.0, self._config.lighting or 0.0
        decoder = _Decoder(self._train, self._config, (seed, epoch))
        for indices, images in zip(steps, self._load(decoder, steps), strict=True):
            if jitter or lighting:
                draws = draw_color(seed, epoch, indices, jitter=jitter, lighting=lighting)
                images = augment_color(images, draws)
            yield self._batch(images, self._train, indices)

    def val_batches(self, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, resized and cropped.

        Raises:
            ValueError: an image that cannot be read.
        """
        decoder = _Decoder(self._val, self._config, None)
        for indices, images in zip(steps, self._load(decoder, steps), strict=True):
            yield self._batch(images, self._val, indices)

    def _load(self, decoder: _Decoder, steps: Sequence[Indices]) -> Iterator[torch.Tensor]:
        """Each step's images on the device, (N, 3, image_size, image_size) float32 in [0, 1]."""
        pieces = [[step[i : i + _PIECE] for i in range(0, len(step), _PIECE)] for step in steps]
        loader = DataLoader(
            decoder,
            batch_size=None,  # a piece is made whole by the decoder
            sampler=[piece for step in pieces for piece in step],
            num_workers=self._config.loader_workers,
            pin_memory=self._device.type == "cuda",
            generator=torch.Generator(),  # else the loader draws from the global one
            worker_init_fn=leave_group,
        )
        loaded = iter(loader)
        try:
            for step in pieces:
                parts = []
                for _ in step:
                    part = next(loaded)
                    if isinstance(part, str):
                        raise ValueError(part)
                    parts.append(part.to(self._device, non_blocking=True))
                yield torch.cat(parts).float().div_(255)
        finally:
            del loaded  # stops the processes now; left to an error's traceback, they would take 5 s

    def _batch(self, images: torch.Tensor, files: ImageFiles, indices: Indices) -> Batch:
        labels = torch.from_numpy(files.labels[indices]).to(self._device)
        return Batch(images.sub_(self._mean).div_(self._std), labels, indices)


class _Decoder(TorchDataset[torch.Tensor | str]):
    """Decodes pieces: sample indices (n,) -> pixels (n, 3, image_size, image_size) uint8.

    With a key (seed, epoch), training's crops; without, evaluation's. An image that cannot be read gives its
    error's message for pixels: an exception would arrive with the loader process's traceback in it.
    """

    def __init__(self, files: ImageFiles, config: DataConfig, key: tuple[int, int] | None) -> None:
        self._files, self._config, self._key = files, config, key

    def __getitem__(self, indices: Indices) -> torch.Tensor | str:
        size = self._config.image_size
        pixels = np.empty((len(indices), 3, size, size), dtype=np.uint8)
        draws = None
        if self._key is not None:
            seed, epoch = self._key
            draws = keyed.uniform(seed, "augment", epoch, indices, NUM_CROP_DRAWS)
        try:
            for i, index in enumerate(indices):
                pixels[i] = self._decode(self._files.path(index), None if draws is None else draws[i])
        except ValueError as error:
            return str(error)
        return torch.from_numpy(pixels)

    def _decode(self, path: str, draws: npt.NDArray[np.float64] | None) -> Pixels:
        config, image = self._config, read_image(path)
        assert (
            config.crop_area is not None and config.crop_aspect is not None and config.eval_resize is not None
        )
        if draws is None:
            return center_crop(image, config.eval_resize, config.image_size)
        return random_crop(
            image,
            draws,
            area=config.crop_area,
            aspect=config.crop_aspect,
            flip=config.flip,
            size=config.image_size,
        )


def _find_root(config: DataConfig) -> Path:
    wanted, fix = "data.root must be the folder that holds train/ and val/", "give data.root=/path/to/it"
    if config.root is None:
        raise ValueError(f"{wanted}, got none; data={config.name} has no default, {fix}")
    root = Path(config.root).expanduser()
    if not root.is_dir():
        raise ValueError(
            f"{wanted}, got {root}, which {'is no folder' if root.exists() else 'is not there'}; {fix}"
        )
    for split in ("train", "val"):
        if not (root / split).is_dir():
            raise ValueError(
                f"{wanted}, got {root}, which has no folder {split}; make {root / split}, or {fix}"
            )
    return root


def _check_classes(train: ImageFiles, val: ImageFiles, config: DataConfig) -> None:
    for these, those in ((train, val), (val, train)):
        extra = sorted(set(these.classes) - set(those.classes))
        if extra:
            raise ValueError(
                f"train and val must have the same classes, got {len(train.classes)} and {len(val.classes)}: "
                f"{os.fsdecode(those.folder)} has no {os.fsdecode(extra[0])}; add it, or remove the other's"
            )
    num = len(train.classes)
    if num != config.num_classes:
        raise ValueError(
            f"data.num_classes must be the number of class folders in {os.fsdecode(train.folder)}, "
            f"got {config.num_classes} and {num} folders; give data.num_classes={num}, or mend the folder"
        )


def _check_settings(config: DataConfig) -> None:
    for key, highest in (("crop_area", 1.0), ("crop_aspect", math.inf)):
        limits: tuple[float, ...] | None = getattr(config, key)
        if limits is None or len(limits) != 2 or not 0 < limits[0] <= limits[1] <= highest:
            raise ValueError(
                f"data.{key} must be [lowest, highest] above 0, at most {highest:g}, got {limits}"
            )
    for key, highest in (("jitter", 1.0), ("lighting", math.inf)):
        strength: float | None = getattr(config, key)
        if strength is not None and not 0 <= strength <= highest:
            raise ValueError(f"data.{key} must be between 0 and {highest:g}, got {strength}")
    if config.eval_resize is None or config.eval_resize < config.image_size:
        raise ValueError(
            f"data.eval_resize must be at least data.image_size={config.image_size}, got {config.eval_resize}"
        )
    if config.channels != 3:
        raise ValueError(f"data.channels must be 3 (RGB) for kind imagefolder, got {config.channels}")
    for key in ("shift", "exposure", "clutter", "val_source"):
        if getattr(config, key):
            raise ValueError(f"data.{key} is for the fashion kinds, got {getattr(config, key)}; leave it out")
