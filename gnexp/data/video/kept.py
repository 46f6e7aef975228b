"""Small videos that stay in memory once they have been decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from gnexp.data.images.decode import Box
from gnexp.data.video.decode import Video, read_video

MOST_BYTES = 1 << 29  # of frames; videos beyond are decoded each time
_T = TypeVar("_T")


class Frames(Protocol):
    """What clips are cut out of: a decode.Video, or one that is kept."""

    path: str
    width: int
    height: int
    num_frames: int

    def read(
        self, numbers: Sequence[int], *, size: tuple[int, int], box: Box, channels: int
    ) -> npt.NDArray[np.uint8]:
        """As decode.Video.read."""
        ...


class Reader(Protocol):
    """Opens a video and has it used, as decode.read_video does."""

    def __call__(self, path: str, use: Callable[[Frames], _T]) -> _T: ...


class KeptVideos:
    """A Reader that decodes each video once, whole, for clips that are not resized.

    Args:
        channels: of the clips.
        most_bytes: of frames that are kept.
    """

    def __init__(self, channels: int, most_bytes: int = MOST_BYTES) -> None:
        self._channels, self._left = channels, most_bytes
        self._kept: dict[str, _Kept] = {}

    def __call__(self, path: str, use: Callable[[Frames], _T]) -> _T:
        if path not in self._kept:
            kept = read_video(path, self._keep)
            if kept is None:
                return read_video(path, use)
            self._kept[path] = kept
        return use(self._kept[path])

    def _keep(self, video: Video) -> _Kept | None:
        num_bytes = self._channels * video.num_frames * video.height * video.width
        if num_bytes > self._left:
            return None
        size = video.width, video.height
        frames = video.read(range(video.num_frames), size=size, box=(0, 0, *size), channels=self._channels)
        self._left -= num_bytes
        return _Kept(video.path, frames)


class _Kept:
    def __init__(self, path: str, frames: npt.NDArray[np.uint8]) -> None:
        self.path, self._frames = path, frames
        _, self.num_frames, self.height, self.width = frames.shape

    def read(
        self, numbers: Sequence[int], *, size: tuple[int, int], box: Box, channels: int
    ) -> npt.NDArray[np.uint8]:
        assert size == (self.width, self.height) and channels == len(self._frames), "kept as it is"
        left, top, right, bottom = box
        return self._frames[:, list(numbers), top:bottom, left:right]
