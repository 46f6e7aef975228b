"""Videos in files as a Dataset of clips: random ones in training, evenly spaced ones in the test.

Loader processes decode, resize and crop; the device normalizes.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Generator, Sequence

import numpy as np
import torch

from gnexp.data.chunks import Decoder, load_chunks, note_skipped
from gnexp.data.class_files import ClassFiles
from gnexp.data.dataset import Batch, Batches, Indices
from gnexp.data.kinds.kinetics import ClipsConfig
from gnexp.data.transfer import Loaded, to_device
from gnexp.data.video.chunks import NUM_CLIP_DRAWS, RandomClips, ViewDecoder, Views
from gnexp.data.video.kept import KeptVideos

_TRAIN_CHUNK = 4  # clips that a loader process hands over at once: 19 MB of 32 frames of 224 x 224 pixels
_VAL_CHUNK = 1  # videos: 80 MB of 300 whole frames of 340 x 256 pixels


class Clips:
    """A train and a val split of videos.

    Training takes one clip a video: a random start, shorter side and crop, flipped with probability 1/2 where data.flip
    says so; its images are (N, C, T, image_size, image_size) float32. val_batches gives the test's clips: images is a
    list of N tensors (views, C, T, H, W), where H and W are the video's own, and views are data.num_clips times the
    crops of data.test_crop, a clip's crops next to each other. Videos of val that are skipped are missing in their
    batch, which may be left with none.

    Args:
        config: of the data set.
        device: where batches go.
        train: files of the training split.
        val: files of the other.
        fingerprint: of what is in them.
        notes: what a person should know before training.
        kept: where decoded videos stay, of which no loader process knows; None = they do not.
    """

    def __init__(
        self,
        config: ClipsConfig,
        device: torch.device,
        train: ClassFiles,
        val: ClassFiles,
        *,
        fingerprint: str,
        notes: list[str],
        kept: KeptVideos | None = None,
    ) -> None:
        self.fingerprint, self.notes = fingerprint, notes
        self._train = train.first(config.num_train, "data.num_train")
        self._val = val.first(config.num_val, "data.num_val")
        self.num_train, self.num_val = len(self._train.labels), len(self._val.labels)
        self.skipped: dict[str, str] = {}
        self._config, self._device, self._kept = config, device, kept
        self._monitor: tuple[int, int] | None = None  # seed and epoch
        self._mean = torch.tensor(config.mean, device=device).view(-1, 1, 1, 1)
        self._std = torch.tensor(config.std, device=device).view(-1, 1, 1, 1)

    @property
    def crop(self) -> int:
        """Pixels, the side of training's clips."""
        return self._config.image_size

    @property
    def is_monitored(self) -> bool:
        """Whether val_batches give one clip of each video, and not the test's."""
        return self._monitor is not None

    def monitored(self, seed: int, epoch: int) -> Clips:
        """The same data set, whose val_batches give one clip of each video, augmented as in training.

        That is what the paper's curves of validation errors show. The draws are a function of (seed, epoch, sample
        index) and apart from training's. Images are (N, C, T, image_size, image_size).
        """
        other = copy.copy(self)
        other._monitor = seed, epoch
        return other

    def train_batches(self, seed: int, epoch: int, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, a clip of each video by (seed, epoch, sample index).

        Raises:
            ValueError: a video that cannot be used; with data.on_error=skip, more than data.max_skipped of them.
            RuntimeError: a loader process died or hangs.
        """
        config, files = self._config, self._train
        shape = (config.channels, config.clip_length, config.image_size, config.image_size)
        clips = RandomClips(files, config, self._kept)
        decoder = Decoder(clips, shape, files.labels, config, (seed, epoch), NUM_CLIP_DRAWS, "video")
        # Ends the loader processes now, also where an error's traceback keeps us.
        with contextlib.closing(self._load_clips(decoder, steps)) as loaded:
            for indices, (pixels, labels) in zip(steps, to_device(loaded, self._device), strict=True):
                yield Batch(self._normalize(pixels), labels, indices)

    def val_batches(self, steps: Sequence[Indices]) -> Batches:
        """One batch per entry of `steps`, without the videos that are skipped.

        Raises:
            ValueError: a video that cannot be used; with data.on_error=skip, more than data.max_skipped of them.
            RuntimeError: a loader process died or hangs.
        """
        config = self._config
        loaded = load_chunks(
            ViewDecoder(self._val, config, self._monitor, self._kept),
            steps,
            num_processes=config.loader_workers,
            timeout=config.loader_timeout,
            is_pinned=False,
            chunk_size=_VAL_CHUNK if self._monitor is None else _TRAIN_CHUNK,
        )
        with contextlib.closing(loaded):
            for chunks in loaded:
                kept = []
                for views in (views for chunk in chunks for views in chunk):
                    note_skipped(views.skipped, self.skipped, config, "videos")
                    if views.error is not None:
                        raise ValueError(views.error)
                    if not views.skipped:
                        kept.append(views)
                indices = np.array([views.index for views in kept], dtype=np.int64)
                labels = torch.from_numpy(self._val.labels[indices]).to(self._device)
                images: list[torch.Tensor] | torch.Tensor = [self._look(views) for views in kept]
                if self._monitor is not None:
                    size, length = config.image_size, config.clip_length
                    none = torch.empty((0, config.channels, length, size, size), device=self._device)
                    images = torch.cat([none, *images])
                yield Batch(images, labels, indices)

    def _load_clips(self, decoder: Decoder, steps: Sequence[Indices]) -> Generator[Loaded, None, None]:
        """Each step's pixels in parts, and its labels."""
        loaded = load_chunks(
            decoder,
            steps,
            num_processes=self._config.loader_workers,
            timeout=self._config.loader_timeout,
            is_pinned=self._device.type == "cuda",
            chunk_size=_TRAIN_CHUNK,
        )
        with contextlib.closing(loaded):
            for chunks in loaded:
                for chunk in chunks:
                    note_skipped(chunk.skipped, self.skipped, self._config, "videos")
                    if chunk.error is not None:
                        raise ValueError(chunk.error)
                yield (
                    [chunk.pixels for chunk in chunks],
                    torch.from_numpy(np.concatenate([chunk.labels for chunk in chunks])),
                )

    def _look(self, views: Views) -> torch.Tensor:
        """A video's views, (views, C, T, H, W)."""
        frames = views.frames.to(self._device)
        places = torch.from_numpy(views.places).to(self._device)
        crops = [frames[:, places, top:bottom, left:right] for left, top, right, bottom in views.boxes]
        return self._normalize(torch.stack(crops, dim=2).permute(1, 2, 0, 3, 4, 5).flatten(0, 1))

    def _normalize(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().div_(255).sub_(self._mean).div_(self._std)
