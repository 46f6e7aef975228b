"""AVI files with dropped frames: each frame stays until the next, and nothing after a gap is shifted."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from gnexp.data.video.decode import UnreadableVideoError, Video, read_video
from tests.data.videos import moving, write_video

NUM, DROPPED_AT, DROPPED = 60, 20, 5
COLOR = moving(NUM, channels=3)
TIMES = [i + (DROPPED if i >= DROPPED_AT else 0) for i in range(NUM)]
SHOWN = [max(i for i, time in enumerate(TIMES) if time <= shown) for shown in range(NUM + DROPPED)]
NOT_CODED = b"\0\0\1\xb6\x51\x50\x7f"  # MPEG-4's stub of a frame that shows the one before it
DIVX = b"\0\0\1\xb2DivX503b1393p"  # says that B-frames share packets with what they refer to


def read(path: Path) -> tuple[int, npt.NDArray[np.uint8]]:
    """The number of frames and all of them, (F, H, W)."""

    def whole(found: Video) -> tuple[int, npt.NDArray[np.uint8]]:
        size = found.width, found.height
        numbers = range(found.num_frames)
        return found.num_frames, found.read(numbers, size=size, box=(0, 0, *size), channels=1)[0]

    return read_video(str(path), whole)


def decoded(path: Path) -> npt.NDArray[np.uint8]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def write_packets(path: Path, like: Path, contents: list[bytes], num_said: int | None = None) -> None:
    """An AVI file of these packets, whose header may say another number of frames."""
    with av.open(str(like)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for time, content in enumerate(contents):
            packet = av.Packet(content)
            packet.stream, packet.pts, packet.dts = stream, time, time
            packet.time_base = source.streams.video[0].time_base
            packet.is_keyframe = time == 0
            container.mux(packet)
    if num_said is not None:
        head = bytearray(path.read_bytes())
        for place in (head.index(b"avih") + 24, head.index(b"strh") + 40):
            head[place : place + 4] = num_said.to_bytes(4, "little")
        path.write_bytes(head)


@pytest.mark.parametrize(
    ("codec", "options"),
    [("mpeg4", {}), ("mpeg4", {"bf": "2"}), ("libx264", {"bf": "2", "preset": "medium"})],
)
def test_the_frame_before_a_gap_is_repeated(tmp_path, codec, options):
    path = tmp_path / "a.avi"
    write_video(path, COLOR, codec=codec, times=TIMES, **options)
    num, frames = read(path)
    assert num == NUM + DROPPED
    assert np.array_equal(frames, decoded(path)[SHOWN])
    assert read_video(str(path), Video.damage) is None
    clip = read_video(
        str(path), lambda v: v.read([22, 23, 24, 25, 26, 64], size=(48, 40), box=(0, 0, 48, 40), channels=1)
    )
    assert np.array_equal(clip[0], decoded(path)[[19, 19, 19, 20, 21, 59]])


def test_a_stub_repeats_the_frame_before_it(tmp_path):
    """XviD's way: a packet that holds no frame."""
    like, path = tmp_path / "like.avi", tmp_path / "a.avi"
    write_video(like, COLOR, codec="mpeg4")
    whole = packets(like)
    write_packets(path, like, [*whole[:20], NOT_CODED, NOT_CODED, *whole[20:]])
    num, frames = read(path)
    assert num == NUM + 2
    assert np.array_equal(frames, decoded(like)[[*range(20), 19, 19, *range(20, NUM)]])
    assert read_video(str(path), Video.damage) is None


@pytest.mark.parametrize("is_short", [False, True])
def test_b_frames_that_share_packets_may_lack_one_at_the_end(tmp_path, is_short):
    like, path = tmp_path / "like.avi", tmp_path / "a.avi"
    write_video(like, COLOR[: NUM - 1], gop=250, codec="mpeg4", bf="1", b_strategy="0", flags="+bitexact")
    whole = packets(like)
    kinds = [content[content.index(b"\0\0\1\xb6") + 4] >> 6 for content in whole]
    assert kinds == [0, *[1, 2] * (NUM // 2 - 1)], "an I, then P and B in turn, in the order of decoding"
    head = whole[0].index(b"\0\0\1\xb6")
    shared = [whole[0][:head] + DIVX + whole[0][head:]]
    for i in range(1, len(whole), 2):
        shared += [whole[i] + whole[i + 1], NOT_CODED]
    write_packets(path, like, shared[:-1] if is_short else shared, num_said=len(shared))
    num, frames = read(path)
    assert num == NUM - 1
    expected = decoded(like)
    if is_short:  # the decoder keeps the last B-frame, whose place its successor takes
        expected[-2] = expected[-1]
    assert np.array_equal(frames, expected)
    assert read_video(str(path), Video.damage) is None


def test_one_that_was_cut_off_is_told(tmp_path):
    like, path = tmp_path / "like.avi", tmp_path / "a.avi"
    write_video(like, COLOR, codec="mpeg4")
    write_packets(path, like, packets(like)[:40], num_said=NUM)
    assert read_video(str(path), Video.damage) == f"it ends after 40 of {NUM} frames"
    with pytest.raises(UnreadableVideoError, match=f"frame 59 of {NUM} cannot be decoded"):
        read(path)
    whole = packets(like)
    write_packets(path, like, [*whole[:40], b"\0" * 30, *whole[41:]])
    assert read_video(str(path), Video.damage) == f"1 of its {NUM} frames cannot be decoded"


def test_the_beginning_of_a_file_is_told(tmp_path):
    like, path = tmp_path / "like.avi", tmp_path / "a.avi"
    write_video(like, COLOR, codec="mpeg4")
    with av.open(str(like)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(like.read_bytes()[: places[40] - 8])
    assert read_video(str(path), Video.damage) == f"it ends after 40 of {NUM} frames"
    with pytest.raises(UnreadableVideoError, match=f"frame 59 of {NUM} cannot be decoded"):
        read(path)
