"""Frames of video files: those that a plain loop finds, whatever the file's order, times and keyframes."""

import os
import re
import resource
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from gnexp.data.video import packets as packets_of_videos
from gnexp.data.video.decode import UnreadableVideoError, Video, read_video
from tests.data.videos import Frames, moving, write_video

NUM = 96
GRAY = moving(NUM)
# Four frames referring to each other in both directions, and keyframes that frames shown before them refer to.
OPEN = {"x264-params": "open-gop=1:bframes=3:b-adapt=0:b-pyramid=normal:scenecut=0", "qp": "20"}
CLOSED = {"x264-params": "bframes=3:b-adapt=0:scenecut=0", "qp": "20"}


def whole(found: Video, numbers: object, channels: int = 1) -> npt.NDArray[np.uint8]:
    """(F, H, W), or (F, H, W, 3)."""
    size = found.width, found.height
    pixels = found.read(list(numbers), size=size, box=(0, 0, *size), channels=channels)  # type: ignore[call-overload]
    return pixels[0] if channels == 1 else pixels.transpose(1, 2, 3, 0)


def read(path: Path, numbers: object, channels: int = 1) -> npt.NDArray[np.uint8]:
    return read_video(str(path), lambda found: whole(found, numbers, channels))


def plain(path: Path, pixel_format: str = "gray") -> Frames:
    """All frames, decoded one after the other from the start."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format=pixel_format) for frame in container.decode(video=0)])


def assert_any_clip_is_right(path: Path, expected: Frames) -> None:
    for start in range(0, NUM - 33, 5):
        for stride in (1, 2, 8):
            numbers = range(start, start + 33, stride)
            assert np.array_equal(read(path, numbers), expected[numbers]), (start, stride)


@pytest.mark.parametrize("gop", [1, 16, 250])
def test_frames_are_those_that_were_made(tmp_path, gop):
    path = tmp_path / "a.mp4"
    write_video(path, GRAY, gop=gop)
    assert read_video(str(path), lambda found: (found.num_frames, found.width, found.height)) == (NUM, 48, 40)
    assert_any_clip_is_right(path, GRAY)


@pytest.mark.parametrize("options", [OPEN, CLOSED])
@pytest.mark.parametrize("gop", [1, 16, 250])
def test_frames_are_a_plain_loops(tmp_path, gop, options):
    path = tmp_path / "a.mp4"
    write_video(path, GRAY, gop=gop, preset="medium", **options)
    expected = plain(path)
    # x264 changes little, and frames that follow each other differ by much more.
    assert (
        np.abs(expected.astype(int) - GRAY).mean() < 1 < 10 < np.abs(np.diff(GRAY.astype(int), axis=0)).mean()
    )
    assert_any_clip_is_right(path, expected)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("late.mp4", {"times": range(30, 30 + NUM)}),
        ("late.mkv", {"times": range(30, 30 + NUM)}),
        ("a.mkv", {}),  # says no number of frames; times in milliseconds
        ("a.avi", {}),  # says the wrong times
        ("a.ts", {}),  # has no index
        ("odd.mp4", {"rate": 24000}),
    ],
)
def test_containers(tmp_path, name, settings):
    path = tmp_path / name
    write_video(path, GRAY, preset="medium", **OPEN, **settings)
    assert read_video(str(path), lambda found: found.num_frames) == NUM
    assert_any_clip_is_right(path, plain(path))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
        ("a.mp4", "mpeg4", {"bf": "2"}),
        ("a.mp4", "libx264", {"x264-params": "intra-refresh=1"}),  # keyframes that are none
    ],
)
def test_codecs(tmp_path, name, codec, options):
    path = tmp_path / name
    write_video(path, moving(NUM, 128, 96, 3), codec=codec, preset="medium", **options)
    assert_any_clip_is_right(path, plain(path))


def _edited(path: Path, source: Path, hidden: int) -> None:
    """The same packets, of which the first ones are before the time at which the video begins."""
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    with av.open(str(source)) as old, av.open(str(path), "w", options=options) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        assert stream.average_rate is not None and stream.time_base is not None
        shift = round(hidden / stream.average_rate / stream.time_base)
        for packet in old.demux(stream):
            if packet.dts is not None and packet.pts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                new.mux(packet)


def test_an_edit_list_hides_frames(tmp_path):
    write_video(tmp_path / "a.mp4", GRAY)
    _edited(tmp_path / "b.mp4", tmp_path / "a.mp4", 5)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].frames == NUM
    assert read_video(str(tmp_path / "b.mp4"), lambda found: found.num_frames) == NUM - 5
    numbers = [0, 1, 20, 40, NUM - 6]
    assert np.array_equal(read(tmp_path / "b.mp4", numbers), GRAY[[number + 5 for number in numbers]])


def test_at_a_varying_rate_a_number_is_a_time(tmp_path):
    """Frame i is on display in the middle of the i-th of NUM equal intervals."""
    times = [0, 1, 2, 10, 11, 12, 13, 30, *range(40, 40 + 2 * (NUM - 8), 2)]
    write_video(tmp_path / "a.mp4", GRAY, times=times)
    length = (times[-1] + 1) / NUM
    expected = [int(np.searchsorted(times, (i + 0.5) * length, side="right")) - 1 for i in range(NUM)]
    assert read_video(str(tmp_path / "a.mp4"), lambda found: found.num_frames) == NUM
    assert np.array_equal(read(tmp_path / "a.mp4", range(NUM)), GRAY[expected])
    assert len(set(expected)) < NUM


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for every packet that is decoded."""
    packets, feed = [], packets_of_videos.feed

    def count(context, packet):
        packets.extend([1] * (packet is not None))
        return feed(context, packet)

    monkeypatch.setattr(packets_of_videos, "feed", count)
    return packets


def test_only_what_a_clip_needs_is_decoded(tmp_path, fed):
    frames = moving(600, 16, 16)
    write_video(tmp_path / "a.mp4", frames)
    assert np.array_equal(read(tmp_path / "a.mp4", range(200, 232)), frames[200:232])
    assert len(fed) == 232 - 192  # from the keyframe before it to its last frame
    fed.clear()
    far = [0, 50, 51, 100, 590]  # groups of pictures between them are left out, near each other or not
    assert np.array_equal(read(tmp_path / "a.mp4", far), frames[far])
    assert len(fed) == sum(number % 16 + 1 for number in (0, 51, 100, 590))


def test_frames_that_no_other_refers_to_are_not_decoded(tmp_path, monkeypatch):
    """H.264 says which, and leaving them out changes nothing (see test_frames_are_a_plain_loops); a decoder counts."""
    write_video(tmp_path / "a.mp4", GRAY, gop=250, preset="medium", **CLOSED)
    decoded, feed = [], packets_of_videos.feed

    def count(context, packet):
        found = feed(context, packet)
        decoded.extend(found)
        return found

    monkeypatch.setattr(packets_of_videos, "feed", count)
    read(tmp_path / "a.mp4", [NUM - 1])
    assert NUM / 4 < len(decoded) < 0.6 * NUM


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_levels_are_kept_resized_or_not(tmp_path, channels, level):
    write_video(tmp_path / "a.mp4", np.full((3, 32, 48, 3), level, dtype=np.uint8), qp="1")
    for size in ((48, 32), (72, 48), (33, 22)):
        pixels = read_video(
            str(tmp_path / "a.mp4"),
            lambda found, size=size: found.read([1], size=size, box=(3, 2, 20, 11), channels=channels),
        )
        assert pixels.shape == (channels, 1, 9, 17) and pixels.dtype == np.uint8
        assert (pixels == level).all()


def test_channels_are_red_green_blue(tmp_path):
    frames = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    frames[..., 0], frames[..., 2] = 200, 100
    write_video(tmp_path / "a.mp4", frames, qp="1")
    assert np.abs(read(tmp_path / "a.mp4", [0], 3).astype(int) - frames[:1]).max() <= 3


def test_a_box_is_cut_from_the_whole_resized_frame(tmp_path):
    write_video(tmp_path / "a.mp4", moving(4, channels=3), qp="10")

    def cut(*box):
        return read_video(
            str(tmp_path / "a.mp4"), lambda found: found.read([2, 0], size=(60, 50), box=box, channels=3)
        )

    large = cut(0, 0, 60, 50)
    assert large.shape == (3, 2, 50, 60) and large.std() > 10
    assert np.array_equal(cut(7, 3, 40, 44), large[:, :, 3:44, 7:40])
    assert np.array_equal(
        read(tmp_path / "a.mp4", [2, 0, 2], 3), read(tmp_path / "a.mp4", range(3), 3)[[2, 0, 2]]
    )


def _cut(path: Path, share: float) -> Path:
    """A file with its index in front, cut off."""
    source = path.with_name("whole.mp4")
    write_video(source, GRAY)
    with av.open(str(source)) as old, av.open(str(path), "w", options={"movflags": "faststart"}) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def test_of_a_cut_off_file_what_is_there_can_be_read(tmp_path):
    path = _cut(tmp_path / "a.mp4", 0.6)
    assert np.array_equal(read(path, range(30)), GRAY[:30])
    line = rf"^cannot read the video {path}: it ends after 5\d of 96 frames; mend or remove it$"
    with pytest.raises(UnreadableVideoError, match=line):
        read(path, range(40, 80))


def test_damage_is_told_where_it_matters(tmp_path):
    path = _cut(tmp_path / "a.mp4", 1.0)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(300)
    path.write_bytes(content)
    assert np.array_equal(read(path, range(20)), GRAY[:20])
    assert np.array_equal(read(path, range(80, 90)), GRAY[80:90])
    with pytest.raises(
        UnreadableVideoError, match="a.mp4: some of its frames cannot be decoded; mend or rem"
    ):
        read(path, range(30, 70))


def test_what_is_no_video_is_one_clear_line(tmp_path):
    write_video(tmp_path / "real.mp4", GRAY[:4])
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    real = (tmp_path / "real.mp4").read_bytes()
    for name, content, reason in (
        ("empty.mp4", b"", "an empty file"),
        ("text.mp4", b"no video" * 100, "not a video, or a damaged one"),
        ("half.mp4", real[: len(real) // 2], "not a video, or a damaged one"),
        # Other files' names are not followed.
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nreal.mp4\n#EXT-X-ENDLIST\n", "not a video, or a damaged one"),
        ("concat.mp4", b"ffconcat version 1.0\nfile real.mp4\n", "not a video, or a damaged one"),
        ("sound.mp4", None, "there is no video in it"),
        ("gone.mp4", None, "No such file or directory"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UnreadableVideoError) as caught:
            read(path, [0])
        assert str(caught.value) == f"cannot read the video {path}: {reason}; mend or remove it"
        assert (caught.value.path, caught.value.reason) == (str(path), reason)


def test_a_fault_of_the_machine_is_no_fault_of_the_video(tmp_path):
    write_video(tmp_path / "a.mp4", GRAY[:4])
    read(tmp_path / "a.mp4", [0])  # so that nothing is left to be imported
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
        with pytest.raises(OSError, match="Too many open files") as caught:
            read(tmp_path / "a.mp4", [0])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert not isinstance(caught.value, UnreadableVideoError) and caught.value.filename == str(
        tmp_path / "a.mp4"
    )


def test_nothing_is_printed(tmp_path, capfd):
    path = _cut(tmp_path / "a.mp4", 0.6)
    with pytest.raises(UnreadableVideoError):
        read(path, range(40, 80))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["a.webm", "a.mkv"])
def test_half_of_a_file_that_says_its_duration_alone_is_told(tmp_path, name):
    path = tmp_path / name
    write_video(path, moving(75, channels=3), codec="libvpx-vp9" if name == "a.webm" else "libx264")
    assert read_video(str(path), Video.damage) is None
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    said = read_video(str(path), Video.damage)
    assert said is not None and re.fullmatch(r"it ends after [0-2]\.\d\d of 3\.00 s", said)
