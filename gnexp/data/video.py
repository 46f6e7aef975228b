"""From a video file to some of its frames, 8-bit: only what they need is decoded, and only they are converted.

PyAV decodes, with FFmpeg's libraries in its wheel, for everybody and every format. Rotation tags and the aspect of
pixels are ignored, as orientation tags of images are.
"""

from __future__ import annotations

import itertools
import os
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, TypeVar

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from gnexp.data.decode import Box, UnreadableError, is_of_the_machine

# Nothing that names other files or addresses: a playlist called .mp4 would have them opened.
_OPTIONS = {"format_whitelist": "mov,matroska,avi,mpegts", "protocol_whitelist": "file"}
# By channels, with the planes in the order of ours. Interleaved RGB takes twice as long or has white at 253.
_FORMATS = {1: ("gray", (0,)), 3: ("gbrp", (2, 0, 1))}
# With the last two flags swscale gives the same on every processor.
_SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_FAR = 250  # frames, x264's longest way between keyframes: over more than that, seeking is cheaper than reading on
_TRIES = 4  # seeks, each to an earlier keyframe
_Packet: TypeAlias = "Packet[VideoStream]"
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
        with _open(path) as container:
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
        # Time stamps of AVI are in the order of decoding: frames can only be counted.
        self._is_timed = container.format.name != "avi"
        # In the stream's time stamps, as all times here.
        self._interval = 1 / (rate * time_base) if self._is_timed else Fraction(1)
        self._start = (stream.start_time or 0) if self._is_timed else 0
        self.num_frames = stream.frames or self._count()
        if stream.duration:  # an edit list hides frames that are in the file
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
        index = self._stream.index
        with _open(self.path) as container:
            stored = sum(not packet.is_discard for packet in _packets(container, index))
        with _open(self.path) as container:
            decoded = sum(not frame.is_corrupt for frame in _decode(_packets(container, index)))
        if decoded < stored:
            return f"{stored - decoded} of its {stored} frames cannot be decoded"
        if self._stream.frames and decoded < self.num_frames - 1:  # of a number that is said, not counted
            return f"it ends after {decoded} of {self.num_frames} frames"
        return None

    def _count(self) -> int:
        """Intervals from the first frame to the last; packets, where they have no times."""
        with _open(self.path) as container:
            times = [_time(packet) for packet in _packets(container, self._stream.index)]
        if not self._is_timed or not times:
            return len(times)
        return round((max(times) - self._start) / self._interval) + 1

    def _seek(self, first: int, last: int) -> _Section | None:
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
            packets = _packets(self._container, self._stream.index)
            start = next(packets, None)
            if start is None or not start.is_keyframe:
                return None
            if _time(start) <= first:
                return _read_packets(itertools.chain([start], packets), last)
            # Containers seek by the time of decoding, and frames may be shown before a keyframe that precedes them.
            aim = (_time(start) if start.dts is None else start.dts) - 1
        return None

    def _read_whole(self, rows: _Rows, canvas: _Canvas) -> None:
        """Decodes all from the start of the file on, as players do, or raises UnreadableVideoError."""
        with _open(self.path) as container:
            section = _read_packets(_packets(container, self._stream.index), max(rows))
            if not self._read_section(section, rows, canvas, is_sparing=False):
                raise UnreadableVideoError(self.path, "some of its frames cannot be decoded")

    def _read_section(self, section: _Section, rows: _Rows, canvas: _Canvas, *, is_sparing: bool) -> bool:
        """Decodes and keeps the wanted frames; returns whether all came."""
        lengths = {_time(packet): packet.duration or 0 for packet in section.packets if not packet.is_discard}
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
        decode = _decode_sparingly if is_sparing else _decode
        for frame in decode(section.packets, frozenset(needed)):
            if frame.pts in needed and not frame.is_corrupt:
                canvas.put(frame, needed.pop(frame.pts))
        return not needed

    def _read_by_count(self, rows: _Rows, canvas: _Canvas) -> None:
        """Decodes all from the start of the file on, and counts."""
        waiting = dict(rows)
        with _open(self.path) as container:
            for number, frame in enumerate(_decode(_packets(container, self._stream.index))):
                if number in waiting:
                    canvas.put(frame, waiting.pop(number))
                if not waiting:
                    return
        raise UnreadableVideoError(self.path, f"frame {min(waiting)} of {self.num_frames} cannot be decoded")


@dataclass(frozen=True)
class _Section:
    """Part of a file, in the order of decoding."""

    packets: list[_Packet]
    is_end: bool  # whether nothing comes after it


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


def _open(path: str) -> InputContainer:
    # Some videos of Kinetics have tags that are no UTF-8.
    return av.open(path, container_options=_OPTIONS, metadata_errors="ignore")


def _packets(container: InputContainer, index: int) -> Iterator[_Packet]:
    """The packets of a video stream from where the file stands to where it ends or is cut off."""
    stream = container.streams[index]
    assert isinstance(stream, VideoStream)
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)  # an empty one marks the end
    except av.FFmpegError as error:
        if is_of_the_machine(error):
            raise


def _time(packet: _Packet) -> int:
    """When its frame is shown."""
    return (packet.dts or 0) if packet.pts is None else packet.pts


def _read_packets(packets: Iterable[_Packet], last: int) -> _Section:
    """Those that may matter to what is shown until `last`."""
    read: list[_Packet] = []
    for packet in packets:
        if packet.dts is not None and packet.dts > last:
            return _Section(read, is_end=False)  # what is decoded after it is shown after it
        read.append(packet)
    return _Section(read, is_end=True)


def _decode(packets: Iterable[_Packet], needed: Collection[int] = ()) -> Iterator[VideoFrame]:
    """All frames, as they are shown, whichever are needed."""
    context = None
    for packet in packets:
        context = packet.stream.codec_context
        yield from _feed(context, packet)
    if context is not None:
        yield from _feed(context, None)


def _decode_sparingly(packets: Sequence[_Packet], needed: Collection[int]) -> Iterator[VideoFrame]:
    """The needed frames, by their times, and some of those that they refer to.

    Groups of pictures without a needed frame are left out, and so are frames that no other refers to. Ends where a
    keyframe turns out to be none, but a point from which a picture is refreshed bit by bit.
    """
    is_fed = np.zeros(len(packets), dtype=bool)
    for place, packet in enumerate(packets):
        if (time := packet.pts) is not None and time in needed:
            before = range(place, -1, -1)
            start = next((i for i in before if packets[i].is_keyframe and _time(packets[i]) <= time), 0)
            is_fed[start : place + 1] = True
    context = packets[0].stream.codec_context
    # In other codecs a frame may be referred to that says it is not.
    is_skippable = context.name == "h264"
    edges = np.flatnonzero(np.diff(is_fed, prepend=False, append=False)).tolist()
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        for place in range(start, end + 1):
            fed = packets[place] if place < end else None
            if fed is not None:
                context.skip_frame = "NONREF" if is_skippable and fed.pts not in needed else "DEFAULT"
            for frame in _feed(context, fed):
                if frame.pts == packets[start].pts and frame.pict_type not in (
                    PictureType.I,
                    PictureType.NONE,
                ):
                    return
                yield frame
        context.flush_buffers()


def _feed(context: VideoCodecContext, packet: _Packet | None) -> list[VideoFrame]:
    """What a packet makes the decoder give; None = what it still has. Damage shows in the frames that are missing."""
    try:
        return context.decode(packet)
    except av.FFmpegError as error:
        if is_of_the_machine(error):
            raise
        return []


def _runs(times: Sequence[int], gap: Fraction) -> Iterator[Sequence[int]]:
    """Ascending times, cut where one is more than `gap` after the last."""
    start = 0
    for place in range(1, len(times)):
        if times[place] - times[place - 1] > gap:
            yield times[start:place]
            start = place
    yield times[start:]
