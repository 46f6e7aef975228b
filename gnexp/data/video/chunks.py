"""Clips of videos, decoded by loader processes or, where there are none, here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset as TorchDataset

from gnexp.data.chunks import Draws, fault_of_the_machine
from gnexp.data.class_files import ClassFiles
from gnexp.data.dataset import Indices
from gnexp.data.images.decode import Box, UnreadableError
from gnexp.data.kinds.kinetics import ClipsConfig
from gnexp.data.video.decode import UnreadableVideoError, read_video
from gnexp.data.video.kept import Frames, KeptVideos
from gnexp.ops import keyed

NUM_CLIP_DRAWS = 5  # flip, start, shorter side, left, top


@dataclass(frozen=True)
class Views:
    """What is looked at of one video: some clips, each in some crops; an error travels as its line."""

    index: int  # of the video in its split
    frames: torch.Tensor  # (C, F, H, W) uint8: every frame of every clip, once
    places: npt.NDArray[np.int64]  # (clips, T), of a clip's frames among them
    boxes: Sequence[Box]  # left, top, right, bottom of each crop
    # The video, where it cannot be used: path -> reason.
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    error: str | None = None  # what ends the run


class RandomClips:
    """Training's clips of the videos of a split, (C, T, image_size, image_size) uint8.

    Args:
        files: of the split.
        config: its clips, sizes and flip are followed.
        kept: where decoded videos stay; None = they do not.
    """

    def __init__(self, files: ClassFiles, config: ClipsConfig, kept: KeptVideos | None = None) -> None:
        self._files, self._config, self._kept = files, config, kept

    def __call__(self, index: int, drawn: Draws | None) -> torch.Tensor:
        assert drawn is not None
        return random_clip(self._files.path(index), drawn, self._config, self._kept)


class ViewDecoder(TorchDataset[list[Views]]):
    """Makes the views of videos in evaluation: the test's, or one clip as in training.

    Args:
        files: of the split.
        config: its clips, sizes, crops and on_error are followed.
        key: seed and epoch of one random clip a video; None = the test's.
        kept: where decoded videos stay; None = they do not.
    """

    def __init__(
        self,
        files: ClassFiles,
        config: ClipsConfig,
        key: tuple[int, int] | None,
        kept: KeptVideos | None = None,
    ) -> None:
        self._files, self._config, self._key, self._kept = files, config, key, kept

    def __getitem__(self, indices: Indices) -> list[Views]:
        return [self._make(int(index)) for index in indices]

    def _make(self, index: int) -> Views:
        path, config = self._files.path(index), self._config
        nothing = Views(index, torch.empty(0, dtype=torch.uint8), np.empty((0, 0), np.int64), ())
        try:
            if self._key is None:
                return Views(index, *evenly_spaced_clips(path, config, self._kept))
            seed, epoch = self._key
            drawn = keyed.uniform(seed, "monitor", epoch, [index], NUM_CLIP_DRAWS)[0]
            clip = random_clip(path, drawn, config, self._kept)
            _, length, height, width = clip.shape
            return Views(index, clip, np.arange(length)[None], [(0, 0, width, height)])
        except UnreadableError as error:
            if config.skips_errors:
                return dataclasses.replace(nothing, skipped={error.path: error.reason})
            return dataclasses.replace(nothing, error=str(error))
        except OSError as error:
            return dataclasses.replace(nothing, error=fault_of_the_machine(error, "video"))


def random_clip(path: str, drawn: Draws, config: ClipsConfig, kept: KeptVideos | None = None) -> torch.Tensor:
    """Training's clip: a random start, shorter side and crop, flipped with probability 1/2 if config.flip.

    Args:
        path: of the video file.
        drawn: uniform in [0, 1), (NUM_CLIP_DRAWS,).
        config: clip_length, clip_span, train_resize, image_size, flip and channels are followed.
        kept: where decoded videos stay; None = they do not.

    Returns:
        (C, T, image_size, image_size) uint8.

    Raises:
        UnreadableVideoError: not a video, a damaged one, or one that is shorter than a clip.
    """
    assert config.train_resize is not None
    flip, start, side, x, y = drawn
    lowest, highest = config.train_resize
    shorter, size = lowest + int(side * (highest - lowest + 1)), config.image_size

    def read(video: Frames) -> npt.NDArray[np.uint8]:
        width, height = _resized(video, shorter)
        left, top = int(x * (width - size + 1)), int(y * (height - size + 1))
        return video.read(
            _clip(int(start * (_last_start(video, config) + 1)), config),
            size=(width, height),
            box=(left, top, left + size, top + size),
            channels=config.channels,
        )

    pixels = torch.from_numpy((kept or read_video)(path, read))
    return pixels.flip(3) if config.flip and flip < 0.5 else pixels


def evenly_spaced_clips(
    path: str, config: ClipsConfig, kept: KeptVideos | None = None
) -> tuple[torch.Tensor, npt.NDArray[np.int64], Sequence[Box]]:
    """The test's clips: num_clips of them, from the first possible start to the last, in the crops of test_crop.

    Args:
        path: of the video file.
        config: clip_length, clip_span, num_clips, eval_resize, test_crop and channels are followed.
        kept: where decoded videos stay; None = they do not.

    Returns:
        The frames, (C, F, H, W) uint8, each once; the places of each clip's among them, (num_clips, T); the crops.

    Raises:
        UnreadableVideoError: as random_clip.
    """
    side, num, which = config.eval_resize, config.num_clips, config.test_crop

    def read(video: Frames) -> tuple[torch.Tensor, npt.NDArray[np.int64], Sequence[Box]]:
        width, height = _resized(video, side)
        starts = even_starts(_last_start(video, config), num)
        numbers, places = np.unique([_clip(start, config) for start in starts], return_inverse=True)
        box = (0, 0, width, height)
        frames = video.read(numbers.tolist(), size=(width, height), box=box, channels=config.channels)
        places = places.reshape(len(starts), -1).astype(np.int64)
        return torch.from_numpy(frames), places, crops(width, height, which)

    return (kept or read_video)(path, read)


def even_starts(last: int, num: int) -> list[int]:
    """Starts of clips, from 0 to the last possible one at equal distances, rounded; a single one is in the middle."""
    return [(2 * i * last + num - 1) // (2 * (num - 1)) for i in range(num)] if num > 1 else [last // 2]


def crops(width: int, height: int, which: str) -> list[Box]:
    """What the test takes of a frame: all of it (full), or squares of its shorter side, three or the center one."""
    if which == "full":
        return [(0, 0, width, height)]
    side = min(width, height)
    slack = max(width, height) - side
    offsets = [0, slack // 2, slack] if which == "three" else [slack // 2]
    return [
        (offset, 0, offset + side, side) if width >= height else (0, offset, side, offset + side)
        for offset in offsets
    ]


def _clip(start: int, config: ClipsConfig) -> range:
    """The numbers of a clip's frames: clip_length of them, over clip_span frames of the video."""
    return range(start, start + config.clip_span, config.clip_span // config.clip_length)


def _last_start(video: Frames, config: ClipsConfig) -> int:
    if video.num_frames < config.clip_span:
        raise UnreadableVideoError(
            video.path, f"it has {video.num_frames} frames, a clip is spread over {config.clip_span}"
        )
    return video.num_frames - config.clip_span


def _resized(video: Frames, shorter: int) -> tuple[int, int]:
    """Width and height with another shorter side, rounded down as torchvision's Resize does."""
    side = min(video.width, video.height)
    return shorter * video.width // side, shorter * video.height // side
