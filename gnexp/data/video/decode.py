"""From a video file to some of its frames, 8-bit: only what they need is decoded, and only they are converted.

PyAV decodes, with FFmpeg's libraries in its wheel, for everybody and every format. Rotation tags and the aspect of
pixels are ignored, as orientation tags of images are.
"""

from __future__ import annotations

import itertools
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from gnexp.data.images.decode import Box, UnreadableError, is_of_the_machine
from gnexp.data.video.avi import count_frames, frames_shown
from gnexp.data.video.packets import (
    Section,
    decode_all,
    decode_sparingly,
    end_of,
    open_container,
    packets_of,
    read_packets,
    time_of,
)

# By channels, with the planes in the order of ours. Interleaved RGB takes twice as long or has white at 253.
_FORMATS = {1: ("gray", (0,)), 3: ("gbrp", (2, 0, 1))}
# With the last two flags swscale gives the same on every processor.
_SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_FAR = 250  # frames, x264's longest way between keyframes: over more than that, seeking is cheaper than reading on
_CUT_SECONDS = (
    0.5  # of a file of unknown length that may lack at its end, where its packets say no length of theirs
)
_TRIES = 4  # seeks, each to an earlier keyframe
_Rows = Mapping[int, list[int]]  # time stamp -> where in the result its frame goes
_T = TypeVar("_T")


class UnreadableVideoError(UnreadableError):
    """A video file that cannot be used, and why."""

    what = "video"


def read_video(path: str, use: Callable[[Video], _T]) -> _T:
    """Opens a video file, has it used, and closes it.

    Raises:
        UnreadableVideoError: not a video, or a damaged one.
        OSError: the machine, its disk or its network fails.
    """
    try:
        with open_container(path) as container:
            return use(Video(path, container))
    except av.FFmpegError as error:
        if is_of_the_machine(error):
            raise OSError(error.errno, error.strerror, path) from error
        reason = str(error.strerror)
        if isinstance(error, av.InvalidDataError | av.ArgumentError):
            reason = "not a video, or a damaged one" if os.path.getsize(path) else "an empty file"
        raise UnreadableVideoError(path, reason) from error


class Video:
    """An open video file, whose frames are counted as they are shown.

    Frame i is what is on display in the middle of the i-th of equal intervals; the first interval begins with the first
    frame, and their length is that of the average rate. So at constant rate it is the i-th frame, however its time is
    rounded, and at a varying rate frames are as far apart as the numbers say.

    Attributes:
        path: of the file.
        width: pixels.
        height: pixels.
        num_frames: as the container says, or counted where it does not.
    """

    def __init__(self, path: str, container: InputContainer) -> None:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise UnreadableVideoError(path, "there is no video in it")
        if stream.codec_context is None:
            raise UnreadableVideoError(path, "it is coded in a way that FFmpeg does not know")
        self.path, self._container, self._stream = path, container, stream
        self.width, self.height = stream.codec_context.width, stream.codec_context.height
        rate, time_base = stream.average_rate or stream.guessed_rate, stream.time_base
        if not (rate and time_base and self.width > 0 and self.height > 0):
            raise UnreadableVideoError(path, "its size or its rate is not known")
        stream.codec_context.thread_count = 1  # there are as many loader processes as are wanted
        # Time stamps of AVI are in the order of decoding: frames are counted. Its duration is FFmpeg's guess where the
        # file is shorter than its header says, which would hide that it was cut off.
        self._is_timed = container.format.name != "avi"
        # In the stream's time stamps, as all times here.
        self._interval = 1 / (rate * time_base) if self._is_timed else Fraction(1)
        self._start = (stream.start_time or 0) if self._is_timed else 0
        self.num_frames = stream.frames or self._count()
        if stream.duration and self._is_timed:  # an edit list hides frames that are in the file
            self.num_frames = min(self.num_frames, round(stream.duration / self._interval))

    def read(
        self, numbers: Sequence[int], *, size: tuple[int, int], box: Box, channels: int
    ) -> npt.NDArray[np.uint8]:
        """Some frames, resized bilinearly and cropped.

        Args:
            numbers: of the frames, below num_frames.
            size: width and height of a whole resized frame, pixels.
            box: what is kept of it: left, top, right, bottom.
            channels: 1 (gray) or 3 (RGB).

        Returns:
            (channels, F, bottom - top, right - left).

        Raises:
            UnreadableVideoError: a frame that is not there or cannot be decoded.
            FFmpegError: what read_video makes one or the other of.
        """
        canvas = _Canvas(len(numbers), size, box, channels)
        rows: dict[int, list[int]] = {}
        for row, number in enumerate(numbers):
            middle = (2 * number + 1) * self._interval.numerator // (2 * self._interval.denominator)
            rows.setdefault(self._start + middle, []).append(row)
        if not self._is_timed:
            self._read_by_count(rows, canvas)
            return canvas.pixels
        for times in _runs(sorted(rows), self._interval * _FAR):
            wanted = {time: rows[time] for time in times}
            section = self._seek(times[0], times[-1])
            if section is None or not self._read_section(section, wanted, canvas, is_sparing=True):
                self._read_whole(wanted, canvas)
        return canvas.pixels

    def damage(self) -> str | None:
        """What decoding all of it finds wrong; None = nothing.

        Raises:
            FFmpegError: as read.
        """
        index, said = self._stream.index, self._stream.frames
        if not self._is_timed:
            with open_container(self.path) as container:
                stored, lost, there = count_frames(packets_of(container, index))
        else:
            with open_container(self.path) as container:
                stored = sum(not packet.is_discard for packet in packets_of(container, index))
            with open_container(self.path) as container:
                there = sum(not frame.is_corrupt for frame in decode_all(packets_of(container, index)))
            lost = stored - there
        if lost > 0:
            return f"{lost} of its {stored} frames cannot be decoded"
        if said and there < self.num_frames - 1:
            return f"it ends after {there} of {self.num_frames} frames"
        return None if said else self._cut()

    def _cut(self) -> str | None:
        """Whether the file ends before the time that its container says, as one does that was cut off."""
        with open_container(self.path) as container:
            if not container.duration:
                return None
            whole = container.duration / av.time_base
            end = end_of(container) - (container.start_time or 0) / av.time_base
        if whole - end > max(_CUT_SECONDS, 2 * float(self._interval * (self._stream.time_base or 0))):
            return f"it ends after {end:.2f} of {whole:.2f} s"
        return None

    def _count(self) -> int:
        """Intervals from the first frame to the last."""
        with open_container(self.path) as container:
            packets = list(packets_of(container, self._stream.index))
        if not packets:
            return 0
        last = max(map(time_of, packets)) if self._is_timed else max(packet.dts or 0 for packet in packets)
        return max(round((last - self._start) / self._interval) + 1, 0 if self._is_timed else len(packets))

    def _seek(self, first: int, last: int) -> Section | None:
        """What to decode for the frames shown from `first` to `last`, from the last keyframe before them on.

        None where seeking leads to no such keyframe.
        """
        aim = first
        for _ in range(_TRIES):
            try:
                self._container.seek(aim, stream=self._stream)
            except av.FFmpegError as error:
                if is_of_the_machine(error):
                    raise
                return None
            packets = packets_of(self._container, self._stream.index)
            start = next(packets, None)
            if start is None or not start.is_keyframe:
                return None
            if time_of(start) <= first:
                return read_packets(itertools.chain([start], packets), last)
            # Containers seek by the time of decoding, and frames may be shown before a keyframe that precedes them.
            aim = (time_of(start) if start.dts is None else start.dts) - 1
        return None

    def _read_whole(self, rows: _Rows, canvas: _Canvas) -> None:
        """Decodes all from the start of the file on, as players do, or raises UnreadableVideoError."""
        with open_container(self.path) as container:
            section = read_packets(packets_of(container, self._stream.index), max(rows))
            if not self._read_section(section, rows, canvas, is_sparing=False):
                raise UnreadableVideoError(self.path, "some of its frames cannot be decoded")

    def _read_section(self, section: Section, rows: _Rows, canvas: _Canvas, *, is_sparing: bool) -> bool:
        """Decodes and keeps the wanted frames; returns whether all came."""
        lengths = {
            time_of(packet): packet.duration or 0 for packet in section.packets if not packet.is_discard
        }
        shown = sorted(lengths)
        if not shown:
            return False
        # The last frame may stay for long, and a container may count one more than it has.
        end = shown[-1] + max(Fraction(lengths[shown[-1]]), self._interval) + self._interval
        if section.is_end and max(rows) >= end:
            there = round((shown[-1] - self._start) / self._interval) + 1
            raise UnreadableVideoError(self.path, f"it ends after {there} of {self.num_frames} frames")
        needed: dict[int, list[int]] = {}
        for time, own in rows.items():
            needed.setdefault(shown[max(bisect_right(shown, time) - 1, 0)], []).extend(own)
        decode = decode_sparingly if is_sparing else decode_all
        for frame in decode(section.packets, frozenset(needed)):
            if frame.pts in needed and not frame.is_corrupt:
                canvas.put(frame, needed.pop(frame.pts))
        return not needed

    def _read_by_count(self, rows: _Rows, canvas: _Canvas) -> None:
        """Decodes all from the start of the file on, and counts; a frame stays until the next one."""
        waiting = deque(sorted(rows))
        frame, shown_from = None, 0
        with open_container(self.path) as container:
            for time, following in frames_shown(packets_of(container, self._stream.index)):
                while waiting and waiting[0] < time:
                    canvas.put(frame or following, rows[waiting.popleft()])
                frame, shown_from = following, time
                if waiting and waiting[0] == time:
                    canvas.put(frame, rows[waiting.popleft()])
                if not waiting:
                    return
        # The header may count one more than there is, where B-frames shared packets.
        if frame is None or waiting[-1] > shown_from + 1:
            raise UnreadableVideoError(
                self.path, f"frame {waiting[-1]} of {self.num_frames} cannot be decoded"
            )
        for time in waiting:
            canvas.put(frame, rows[time])


class _Canvas:
    """The frames that were asked for, as they come in."""

    def __init__(self, num: int, size: tuple[int, int], box: Box, channels: int) -> None:
        left, top, right, bottom = box
        self.pixels = np.empty((channels, num, bottom - top, right - left), dtype=np.uint8)
        self._size = size
        self._format, self._planes = _FORMATS[channels]
        self._part = slice(top, bottom), slice(left, right)
        self._reformatter = VideoReformatter()  # of all frames: each frame's own would be set up anew

    def put(self, frame: VideoFrame, rows: list[int]) -> None:
        """Resizes and crops a frame, and puts it into some rows."""
        width, height = self._size
        scaled = self._reformatter.reformat(
            frame,
            width,
            height,
            self._format,
            interpolation=_SCALING,
            dst_color_range=ColorRange.JPEG,  # 0 to 255
            threads=1,
        )
        for channel, index in enumerate(self._planes):
            plane = scaled.planes[index]
            self.pixels[channel, rows] = np.frombuffer(memoryview(plane), np.uint8).reshape(
                -1, plane.line_size
            )[self._part]


def _runs(times: Sequence[int], gap: Fraction) -> Iterator[Sequence[int]]:
    """Ascending times, cut where one is more than `gap` after the last."""
    start = 0
    for place in range(1, len(times)):
        if times[place] - times[place - 1] > gap:
            yield times[start:place]
            start = place
    yield times[start:]
