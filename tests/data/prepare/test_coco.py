"""COCO's zips through the verb, to a run of the smoke scale; and what of them is refused."""

import re
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from gnexp.cli.main import main
from tests.data.published import write_coco_zips, zip_of

ARCHIVES = ("train2017.zip", "val2017.zip", "annotations_trainval2017.zip")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco_zips(tmp_path_factory.mktemp("archives"))


def prepare(source: Path, root: Path, *words: str) -> int:
    return main(["data", "prepare", "coco", f"from={source}", f"to={root}", *words])


@pytest.mark.usefixtures("warm")
def test_from_archives_to_a_run(
    archives: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "coco"
    assert prepare(archives, root, "md5=false") == 0
    captured = capfd.readouterr()
    assert (captured.err, captured.out.splitlines()[-1]) == ("", f"{root}/train2017: 8 files")
    plain = archives / "plain"
    found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert found.pop("prepared.json")
    assert found == {str(p.relative_to(plain)): p.read_bytes() for p in plain.rglob("*") if p.is_file()}
    words = ["experiment=coco_fpn", "scale=smoke", "data=coco", f"data.root={root}", "data.num_classes=4"]
    sizes = [
        "data.num_train=6",
        "data.num_val=4",
        "data.image_size=32",
        "data.min_size=32",
        "data.max_size=64",
    ]
    assert (
        main(["train", *words, *sizes, "norm=gn", "init=null", "data.loader_workers=0", "recipe.epochs=1"])
        == 0
    )
    assert list(tmp_path.glob("runs/*/result.json"))


def test_a_wrong_md5_is_named(archives: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert prepare(archives, tmp_path) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert all(name in line for name in ARCHIVES)
    assert "must have 442b8da7639aecaf257c1dceb8ba8c80" in line


def _link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("val2017/000000000001.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def _damaged() -> bytes:
    """A byte of the first image is another one."""
    image = b"an image that its CRC-32 is of"
    content = zip_of({"val2017/000000000001.jpg": image, "val2017/000000000002.jpg": b"x"})
    return content.replace(image, image.upper(), 1)


REFUSED = {
    "leads out": ({"val2017/../../evil.jpg": b"x"}, r"val2017/\.\./\.\./evil\.jpg: .* leads out"),
    "absolute": ({"/evil.jpg": b"x"}, r"/evil\.jpg: .* leads out"),
    "backslashes": ({"val2017\\..\\evil.jpg": b"x"}, "leads out"),
    "link": (_link(), "val2017/000000000001.jpg: is a link"),
    "other file": ({"val2017/readme.txt": b"x"}, r"readme\.txt is not what belongs there"),
    "another split's": ({"train2017/000000000001.jpg": b"x"}, "is not what belongs there"),
    "empty": ({}, "has nothing that data=coco reads"),
    "damaged member": (_damaged(), r"val2017\.zip: val2017/000000000001\.jpg is damaged: Bad CRC-32"),
    "cut off": (zip_of({"val2017/000000000001.jpg": b"x"})[:-30], r"val2017\.zip is damaged: .*not a zip"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_named_and_never_where_training_reads(
    archives: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    made, line = REFUSED[case]
    source, root = tmp_path / "source", tmp_path / "coco"
    source.mkdir()
    shutil.copy(archives / ARCHIVES[2], source)
    if isinstance(made, zipfile.ZipInfo):
        with zipfile.ZipFile(source / "val2017.zip", "w") as file:
            file.writestr(made, "/etc/passwd")
    else:
        (source / "val2017.zip").write_bytes(made if isinstance(made, bytes) else zip_of(made))
    assert prepare(source, root, "md5=false") == 2
    (said,) = capfd.readouterr().err.splitlines()
    assert re.search(line, said), said
    assert not (root / "val2017").exists() and not list(tmp_path.rglob("evil*"))


def test_annotations_are_needed(archives: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copy(archives / "val2017.zip", tmp_path)
    assert prepare(tmp_path, tmp_path / "coco") == 2
    assert "annotations_trainval2017.zip and train2017.zip, val2017.zip or both" in capfd.readouterr().err
