"""The frames of an AVI file by when they are shown: of a frame that was dropped nothing is stored, or a stub.

AVI has no times of frames. Each packet stands for an equal interval, in the order of decoding, and an empty one or none
at all says that the picture before it stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from av.video.frame import VideoFrame

from gnexp.data.video.packets import VideoPacket, feed

_STUB = 19  # bytes at most of an MPEG-4 packet that may hold no picture, as FFmpeg has it


def frames_shown(packets: Iterable[VideoPacket]) -> Iterator[tuple[int, VideoFrame]]:
    """All frames as they are shown, each with the interval from which on it is, counted from 0."""
    intervals: list[int] = []  # of the packets that stand for a frame
    waiting: deque[VideoFrame] = deque()
    num_shown, delay = 0, None  # packets that the decoder wants before it gives the first frame
    for packet, frames in _decoded(packets):
        waiting.extend(frames)
        if packet is None:  # the end: what the decoder still had
            last = intervals[-1] if intervals else -1
            intervals += range(last + 1, last + 1 + len(waiting) + (delay or 0))
            delay = len(intervals) - len(waiting) if delay is None else delay
        elif frames or not _is_stub(packet):
            last = intervals[-1] if intervals else -1
            intervals.append(last + 1 if packet.dts is None else packet.dts)
            if frames and delay is None:
                delay = len(intervals) - 1
        while waiting and delay is not None and num_shown + delay < len(intervals):
            yield intervals[num_shown + delay] - delay, waiting.popleft()
            num_shown += 1


def count_frames(packets: Iterable[VideoPacket]) -> tuple[int, int, int]:
    """Of a whole file: frames that are stored, those that cannot be decoded, and intervals that they are shown for."""
    stored = decoded = intervals = 0
    for packet, frames in _decoded(packets):
        decoded += sum(not frame.is_corrupt for frame in frames)
        if packet is not None:
            stored += bool(frames) or not _is_stub(packet)
            intervals = intervals + 1 if packet.dts is None else packet.dts + 1
    return stored, max(0, stored - decoded), intervals


def _decoded(packets: Iterable[VideoPacket]) -> Iterator[tuple[VideoPacket | None, list[VideoFrame]]]:
    """Each packet with the frames that the decoder gives for it; None = the end, with those that it still had."""
    context = None
    for packet in packets:
        context = packet.stream.codec_context
        yield packet, feed(context, packet)
    if context is not None:
        yield None, feed(context, None)


def _is_stub(packet: VideoPacket) -> bool:
    """Whether a packet that gives no frame may be one of a frame that was dropped."""
    return packet.stream.codec_context.name == "mpeg4" and packet.size <= _STUB
