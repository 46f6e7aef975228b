"""Kinetics' tars in CVDF's layout through the verb, to a run of the smoke scale; and what of them is refused."""

import gzip
import re
import shutil
from pathlib import Path

import pytest

from gnexp.cli.main import main
from tests.data.published import tar_of, write_kinetics_tars

Videos = dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Videos]:
    folder = tmp_path_factory.mktemp("archives")
    return folder, write_kinetics_tars(folder)


def prepare(source: Path, root: Path) -> int:
    return main(["data", "prepare", "kinetics", f"from={source}", f"to={root}"])


@pytest.mark.usefixtures("warm")
def test_from_archives_to_a_run(
    published: tuple[Path, Videos],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    archives, videos = published
    root = tmp_path / "kinetics"
    assert prepare(archives, root) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0] == "note: no MD5 of Kinetics' archives is public: damage shows where they are unpacked"
    assert lines[-1] == f"{root}/train: 8 files"
    found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert found.pop("prepared.json")
    for split in ("train", "val"):
        lists = archives / "k400" / "annotations" / f"{split}.csv"
        assert found.pop(lists.name) == lists.read_bytes()
    assert found == {f"{split}/{name}": of[name] for split, of in videos.items() for name in of}
    words = ["experiment=kinetics", "scale=smoke", "data=kinetics", f"data.root={root}", "data.num_classes=2"]
    shape = ["data.image_size=32", "data.train_resize=[32,36]", "data.eval_resize=32", "data.num_clips=2"]
    frames = ["data.clip_length=8", "data.clip_span=16", "data.num_train=8", "data.num_val=4", "norm=gn"]
    rest = ["init=null", "data.loader_workers=0", "recipe.epochs=1", "batch=2"]
    assert main(["train", *words, *shape, *frames, *rest]) == 0
    assert list(tmp_path.glob("runs/*/result.json"))


REFUSED = {
    "a part that is missing": (
        "train/part_0.tar.gz",
        None,
        "1 of the tars of train are missing, the first part_0",
    ),
    "a list that is missing": ("../k400/annotations/val.csv", None, r"val\.csv, the list with the classes"),
    "leads out": (
        "val/part_1.tar.gz",
        tar_of({"../../x_000000_000010.mp4": b"x"}),
        r"\.\./x_.*mp4: .* leads out",
    ),
    "cut off": (
        "val/part_0.tar.gz",
        gzip.compress(tar_of({"x": bytes(9999)}))[:-20],
        r"val/part_0.tar.gz.*is damaged",
    ),
    "another checksum": (
        "val/part_0.tar.gz",
        gzip.compress(tar_of({"x": b"y"}))[:-8] + bytes(8),
        "val/part_0.tar.gz.*is damaged: CRC check failed",
    ),
    "no tar": ("val/part_0.tar.gz", b"<html>", "val/part_0.tar.gz is damaged"),
    "a list that leads out": (
        "../k400/annotations/val.csv",
        b"label,youtube_id,time_start,time_end\n../evil,a,0,10\n",
        "label must be the name of a file or folder within data.root, got '../evil'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_named_and_never_where_training_reads(
    published: tuple[Path, Videos], tmp_path: Path, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    name, content, line = REFUSED[case]
    source, root = tmp_path / "source", tmp_path / "kinetics"
    shutil.copytree(published[0], source)
    path = source / "k400_targz" / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert prepare(source, root) == 2
    (said,) = capfd.readouterr().err.splitlines()
    assert re.search(line, said), said
    assert not (root / "train").exists() and not (root / "val").exists()
