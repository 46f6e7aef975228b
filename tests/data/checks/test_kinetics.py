"""Folders and lists of videos with every fault that Kinetics' copies have, through the verb."""

import av
import pytest

from gnexp.cli.main import main
from tests.data.videos import moving, write_kinetics, write_video

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture
def root(tmp_path):
    write_kinetics(tmp_path, num_train=3, num_val=2, num_frames=24)
    return tmp_path


def _check(root, *words):
    return main(["data", "check", str(root), "data=kinetics", "data.name=mine", *words])


def _in_front(path):
    """The same video with its index in front of its frames, as streamed ones have it."""
    source = path.with_suffix(".tmp")
    path.rename(source)
    with (
        av.open(str(source), format="mp4") as old,
        av.open(str(path), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)
    source.unlink()


def test_a_good_folder(root, capfd):
    write_video(root / "val" / "a" / "own.mkv", moving(30))
    write_video(root / "val" / "a" / "old.avi", moving(30))
    write_video(root / "val" / "a" / "slow.mp4", moving(30), times=[*range(0, 40, 2), *range(60, 70)])
    assert _check(root, "processes=0") == 0
    assert capfd.readouterr() == (
        f"train: 2 classes, 6 videos\nval: 2 classes, 7 videos\n{root}: every file can be read\n",
        "",
    )


def test_every_fault_is_one_line_with_its_path(root, capfd):
    train = sorted((root / "train" / "a").iterdir())
    val = sorted((root / "val" / "b").iterdir())
    train[0].write_bytes(b"")
    train[1].write_bytes(train[1].read_bytes()[:700])
    _in_front(train[2])
    train[2].write_bytes(train[2].read_bytes()[:-2000])
    _in_front(val[0])
    content = bytearray(val[0].read_bytes())
    content[-4000:-3000] = bytes(1000)
    val[0].write_bytes(content)
    (root / "val" / "c").mkdir()
    (root / "val" / "b" / "notes.txt").touch()
    assert _check(root, "processes=2", "data.num_classes=2") == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[:4] == [
        f"bad   {root}/train: no class c, which val has",
        f"bad   {root}/val: 3 classes, mine has 2",
        f"bad   {train[0]}: an empty file",
        f"bad   {train[1]}: not a video, or a damaged one",
    ]
    assert lines[4].startswith(f"bad   {train[2]}: ") and lines[4].endswith(("frames", "cannot be decoded"))
    assert lines[5:7] == ["train: 2 classes, 6 videos", f"bad   {root}/val/c: a class without one video"]
    assert lines[7].startswith(f"bad   {val[0]}: ") and lines[7].endswith(
        "of its 24 frames cannot be decoded"
    )
    assert lines[8:] == [
        "val: 3 classes, 4 videos, 1 other entry passed over, the first b/notes.txt",
        f"{root}: 7 bad",
    ]


def test_lists_are_checked_too(root, capfd):
    for split in ("train", "val"):
        rows = ["label,youtube_id,time_start,time_end,split"]
        for path in sorted((root / split).glob("*/*.mp4")):
            video, start, end = path.stem.rsplit("_", 2)
            rows.append(f"{path.parent.name},{video},{int(start)},{int(end)},{split}")
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert _check(root) == 0
    capfd.readouterr()
    missing = sorted((root / "train" / "a").iterdir())[0]
    missing.unlink()
    with open(root / "val.csv", "a", encoding="utf-8") as file:
        file.write("../a,abc,0,10,val\n")
    assert _check(root) == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[:2] == [
        f"bad   {root}/train.csv: 1 of its videos are not in {root}/train, the first a/{missing.stem}",
        "train: 2 classes, 5 videos",
    ]
    assert lines[2].startswith(
        f"bad   {root}/val.csv: line 6: label must be the name of a file or folder within"
    )
    assert lines[3:] == ["val: 0 classes, 0 videos", f"{root}: 2 bad"]


def test_another_size_than_kinetics_is_bad(root, capfd):
    assert main(["data", "check", str(root), "data=kinetics", "processes=0"]) == 1
    assert capfd.readouterr().out.splitlines()[:2] == [
        f"bad   {root}/train: 2 classes, kinetics has 400",
        f"bad   {root}/train: 6 videos, kinetics has 234643",
    ]
