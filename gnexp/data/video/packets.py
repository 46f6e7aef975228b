"""The packets of a video file: read to where it ends or is cut off, and decoded, all of them or the needed ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from gnexp.data.images.decode import is_of_the_machine

# Nothing that names other files or addresses: a playlist called .mp4 would have them opened.
_OPTIONS = {"format_whitelist": "mov,matroska,avi,mpegts", "protocol_whitelist": "file"}
VideoPacket: TypeAlias = "Packet[VideoStream]"


@dataclass(frozen=True)
class Section:
    """Part of a file, in the order of decoding."""

    packets: list[VideoPacket]
    is_end: bool  # whether nothing comes after it


def open_container(path: str) -> InputContainer:
    """A video file, of the containers that name no other file; to be closed."""
    # Some videos of Kinetics have tags that are no UTF-8.
    return av.open(path, container_options=_OPTIONS, metadata_errors="ignore")


def packets_of(container: InputContainer, index: int) -> Iterator[VideoPacket]:
    """The packets of a video stream from where the file stands to where it ends or is cut off."""
    stream = container.streams[index]
    assert isinstance(stream, VideoStream)
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)  # an empty one marks the end
    except av.FFmpegError as error:
        if is_of_the_machine(error):
            raise


def end_of(container: InputContainer) -> float:
    """When the last packet of any stream ends, in seconds of the container's time; reads to the end."""
    last = 0.0
    try:
        for packet in container.demux():
            if (
                packet.size
                and packet.time_base
                and (time := packet.dts if packet.pts is None else packet.pts)
            ):
                last = max(last, float((time + (packet.duration or 0)) * packet.time_base))
    except av.FFmpegError as error:
        if is_of_the_machine(error):
            raise
    return last


def time_of(packet: VideoPacket) -> int:
    """When its frame is shown."""
    return (packet.dts or 0) if packet.pts is None else packet.pts


def read_packets(packets: Iterable[VideoPacket], last: int) -> Section:
    """Those that may matter to what is shown until `last`."""
    read: list[VideoPacket] = []
    for packet in packets:
        if packet.dts is not None and packet.dts > last:
            return Section(read, is_end=False)  # what is decoded after it is shown after it
        read.append(packet)
    return Section(read, is_end=True)


def decode_all(packets: Iterable[VideoPacket], needed: Collection[int] = ()) -> Iterator[VideoFrame]:
    """All frames, as they are shown, whichever are needed."""
    context = None
    for packet in packets:
        context = packet.stream.codec_context
        yield from feed(context, packet)
    if context is not None:
        yield from feed(context, None)


def decode_sparingly(packets: Sequence[VideoPacket], needed: Collection[int]) -> Iterator[VideoFrame]:
    """The needed frames, by their times, and some of those that they refer to.

    Groups of pictures without a needed frame are left out, and so are frames that no other refers to. Ends where a
    keyframe turns out to be none, but a point from which a picture is refreshed bit by bit.
    """
    is_fed = np.zeros(len(packets), dtype=bool)
    for place, packet in enumerate(packets):
        if (time := packet.pts) is not None and time in needed:
            before = range(place, -1, -1)
            start = next((i for i in before if packets[i].is_keyframe and time_of(packets[i]) <= time), 0)
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
            for frame in feed(context, fed):
                if frame.pts == packets[start].pts and frame.pict_type not in (
                    PictureType.I,
                    PictureType.NONE,
                ):
                    return
                yield frame
        context.flush_buffers()


def feed(context: VideoCodecContext, packet: VideoPacket | None) -> list[VideoFrame]:
    """What a packet makes the decoder give; None = what it still has. Damage shows in the frames that are missing."""
    try:
        return context.decode(packet)
    except av.FFmpegError as error:
        if is_of_the_machine(error):
            raise
        return []
