"""Photographs in class folders, root/{train,val}/<class>/<image>, as a Dataset.

Loader processes decode, crop and resize; the device colors and normalizes. No list of files is read: the folders
are the list, so no entry can point elsewhere but a link that somebody put there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from gnexp.data.chunks import Chunk, Decoder, Draws, load_chunks, note_skipped
from gnexp.data.class_files import (
    ClassFiles,
    check_classes,
    file_notes,
    find_root,
    fingerprint_of,
    scan_classes,
)
from gnexp.data.dataset import Batch, Batches, Indices
from gnexp.data.images.color import apply_maps, color_maps, draw_color
from gnexp.data.images.decode import NUM_CROP_DRAWS, center_crop, random_crop
from gnexp.data.kinds.imagefolder import ImageFolderConfig
from gnexp.data.transfer import to_device

PLACEHOLDER = "imagefolder"  # the name in conf/data/imagefolder.yaml, of no images


class ImageFolder:
    """Training: random-resized crop, flip, color. Evaluation: shorter side resized, centre crop."""

    def __init__(self, config: ImageFolderConfig, device: torch.device, *, val_only: bool = False) -> None:
        """Lists the files; opens none. With val_only train is not looked at, and holds no images.

        Raises:
            ValueError: a setting that this kind cannot follow, or a folder that is missing or not what
                config says.
        """
        _check_settings(config)
        root = find_root(config.root, config.name, ("val",) if val_only else ("train", "val"))
        val = scan_classes(str(root / "val"))
        train = None if val_only else scan_classes(str(root / "train"))
        check_classes(train or val, val, config.num_classes)
        # data.sha256 is of both splits
        self.fingerprint = fingerprint_of(train or val, val, config.sha256 if train else None, root)
        self._train = train.first(config.num_train, "data.num_train") if train else None
        self._val = val.first(config.num_val, "data.num_val")
        self.num_train = len(self._train.labels) if self._train else 0
        self.num_val = len(self._val.labels)
        splits = {"val": val} if train is None else {"train": train, "val": val}
        self.notes = file_notes(config, root, splits, "images")
        self.class_names = tuple(map(os.fsdecode, val.classes))
        self.skipped: dict[str, str] = {}
        self._config, self._device = config, device
        self._mean = torch.tensor(config.mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(config.std, device=device).view(1, -1, 1, 1)

    def train_batches(self, seed: int, epoch: int, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, cropped, flipped and colored by (seed, epoch, sample index).

        Raises:
            ValueError: an image that cannot be read; with data.on_error=skip, more than data.max_skipped of them.
            RuntimeError: a loader process died or hangs.
        """
        config = self._config
        jitter, lighting = config.jitter or 0.0, config.lighting or 0.0
        assert self._train is not None, "with val alone nothing trains"
        decoder = self._decoder(self._train, (seed, epoch))
        for indices, (pixels, labels) in zip(steps, self._load(decoder, steps), strict=True):
            if jitter or lighting:
                draws = draw_color(seed, epoch, indices, jitter=jitter, lighting=lighting)
                maps = torch.from_numpy(color_maps(draws, config.mean, config.std)).float()
                images = apply_maps(pixels, maps.to(self._device))
            else:
                images = self._normalize(pixels)
            yield Batch(images, labels, indices)

    def val_batches(self, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, resized and cropped.

        Raises:
            ValueError: an image that cannot be read, whatever data.on_error says.
            RuntimeError: a loader process died or hangs.
        """
        decoder = self._decoder(self._val, None)
        for indices, (pixels, labels) in zip(steps, self._load(decoder, steps), strict=True):
            yield Batch(self._normalize(pixels), labels, indices)

    def _decoder(self, files: ClassFiles, key: tuple[int, int] | None) -> Decoder:
        config, size = self._config, self._config.image_size
        return Decoder(_Crops(files, config), (3, size, size), files.labels, config, key, NUM_CROP_DRAWS)

    def _load(
        self, decoder: Decoder, steps: Sequence[Indices]
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Each step's pixels, (N, 3, image_size, image_size) uint8, and labels, on the device."""
        config = self._config
        loaded = load_chunks(
            decoder,
            steps,
            num_processes=config.loader_workers,
            timeout=config.loader_timeout,
            is_pinned=self._device.type == "cuda",
        )
        # Ends the loader processes now, also where an error's traceback keeps us.
        with contextlib.closing(loaded):
            yield from to_device((self._join(chunks) for chunks in loaded), self._device)

    def _join(self, chunks: Sequence[Chunk]) -> tuple[Sequence[torch.Tensor], torch.Tensor]:
        """A step's pixels in parts, and its labels; counts what was skipped."""
        for chunk in chunks:
            note_skipped(chunk.skipped, self.skipped, self._config, "training images")
            if chunk.error is not None:
                raise ValueError(chunk.error)
        return [chunk.pixels for chunk in chunks], torch.from_numpy(
            np.concatenate([chunk.labels for chunk in chunks])
        )

    def _normalize(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().div_(255).sub_(self._mean).div_(self._std)


class _Crops:
    """Decodes the images of a split: training's random crops, evaluation's centre crops.

    Args:
        files: of the split.
        config: its crops and decoder are followed.
    """

    def __init__(self, files: ClassFiles, config: ImageFolderConfig) -> None:
        self._files, self._config = files, config

    def __call__(self, index: int, drawn: Draws | None) -> torch.Tensor:
        config, path = self._config, self._files.path(index)
        is_scaled = config.decoder == "scaled"
        if drawn is None:
            return center_crop(path, config.eval_resize, config.image_size, is_scaled=is_scaled)
        return random_crop(
            path,
            drawn,
            area=config.crop_area,
            aspect=config.crop_aspect,
            flip=config.flip,
            size=config.image_size,
            is_scaled=is_scaled,
        )


def _check_settings(config: ImageFolderConfig) -> None:
    if config.name == PLACEHOLDER:
        raise ValueError(
            f"data.name must name your own images, so that runs on them are told from others', got {PLACEHOLDER}; "
            "give data.name=..."
        )
