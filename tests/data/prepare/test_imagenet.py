"""ImageNet's archives through the verb, to a run of the smoke scale; and what of them is refused."""

import gzip
import io
import re
import tarfile
from pathlib import Path

import pytest
from torchvision.datasets import imagenet as torchvisions

from gnexp.cli.main import main
from gnexp.data.prepare import imagenet
from gnexp.data.prepare.devkit import read_val_classes
from tests.data.published import (
    TRUTH,
    WNIDS,
    devkit,
    imagenet_train,
    imagenet_val,
    jpeg,
    meta_mat,
    odd_member,
    tar_of,
    write_imagenet,
)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_imagenet(tmp_path_factory.mktemp("archives"))


def prepare(source: Path, root: Path, *words: str) -> int:
    return main(["data", "prepare", "imagenet", f"from={source}", f"to={root}", "md5=false", *words])


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def expected_val() -> dict[str, bytes]:
    images = imagenet_val().items()
    return {f"val/{WNIDS[i - 1]}/{name}": content for i, (name, content) in zip(TRUTH, images, strict=True)}


@pytest.mark.usefixtures("warm")
def test_from_archives_to_a_run(
    archives: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "imagenet"
    assert main(["data", "prepare", "imagenet", f"FROM={archives}", f"TO={root}", "md5=false"]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines() == [
        "unpacking ILSVRC2012_img_val.tar",
        f"{root}/val: 6 files",
        "unpacking ILSVRC2012_img_train.tar",
        f"{root}/train: 16 files",
    ]
    found = files(root)
    record = found.pop("prepared.json")
    assert b"ILSVRC2012_devkit_t12.tar.gz" in record
    train = {
        f"train/{wnid}/{wnid}_{i}.JPEG": jpeg(100 * k + i) for k, wnid in enumerate(WNIDS) for i in range(8)
    }
    assert found == train | expected_val()
    assert {path.name for path in root.iterdir()} == {"train", "val", "prepared.json"}
    # Once more: nothing is done, nothing is read.
    assert prepare(tmp_path / "imagenet", root) == 2  # no archives there
    assert prepare(archives, root) == 0
    assert capfd.readouterr().out == "".join(
        f"{root}/{part}: there already, {num} files\n" for part, num in (("val", 6), ("train", 16))
    )
    words = ["scale=smoke", "data=imagenet", f"data.root={root}", "data.num_train=16", "data.num_val=6"]
    shape = ["data.image_size=32", "data.eval_resize=36", "data.num_classes=2", "data.loader_workers=0"]
    assert main(["train", *words, *shape, "norm=gn", "batch=4", "recipe.epochs=1"]) == 0
    assert list(tmp_path.glob("runs/*/result.json"))


def test_val_alone_is_enough_to_score_and_train_follows(archives: Path, tmp_path: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for name in (imagenet.VAL, imagenet.DEVKIT):
        (some / name).write_bytes((archives / name).read_bytes())
    root = tmp_path / "imagenet"
    assert prepare(some, root) == 0
    found = files(root)
    found.pop("prepared.json")
    assert found == expected_val()
    assert prepare(archives, root) == 0
    assert len(files(root)) == 1 + 6 + 16


def test_val_is_sorted_as_torchvision_sorts_it(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parser reads meta.mat by scipy, ours by itself; both also without compression."""
    monkeypatch.setattr(torchvisions, "_verify_archive", lambda *args: None)
    for name in ("packed", "plain"):
        (tmp_path / name).mkdir()
        archive = tmp_path / name / imagenet.DEVKIT
        archive.write_bytes(devkit(meta_mat(do_compression=name == "packed")))
        torchvisions.parse_devkit_archive(archive.parent)
        _, theirs = torchvisions.load_meta_file(archive.parent)
        assert read_val_classes(archive) == theirs == [WNIDS[i - 1] for i in TRUTH]


def test_the_md5s_are_torchvisions() -> None:
    assert dict(torchvisions.ARCHIVE_META.values()) == imagenet.MD5


def test_a_wrong_md5_is_named_before_anything_is_unpacked(
    archives: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "imagenet"
    assert main(["data", "prepare", "imagenet", f"from={archives}", f"to={root}"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    for name, md5 in imagenet.MD5.items():
        assert name in line and f"must have {md5}" in line
    assert not [path for path in root.rglob("*") if path.suffix == ".JPEG"]


def _in_class(name: str, content: bytes | tarfile.TarInfo) -> dict[str, bytes]:
    """Train's tar with one more member in the first class."""
    members = imagenet_train()
    inner = {f"{WNIDS[0]}_0.JPEG": jpeg(0)} | {name: content}
    return {imagenet.TRAIN: tar_of(members | {f"{WNIDS[0]}.tar": tar_of(inner)})}


def _cut(content: bytes, num: int) -> bytes:
    return content[:-num]


def _with_broken_header() -> bytes:
    """A checksum that is wrong in the third member's header; Python's tarfile takes that for the end."""
    content = bytearray(tar_of(imagenet_val()))
    content[len(_cut_at_third_member()) + 100] ^= 0xFF
    return bytes(content)


def _cut_at_third_member() -> bytes:
    content = tar_of(imagenet_val())
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return content[: tar.getmembers()[2].offset]


_WNID = WNIDS[0]
REFUSED = {
    "leads out": (_in_class("../../evil.JPEG", b"x"), rf"{_WNID}\.tar: \.\./\.\./evil\.JPEG: .* leads out"),
    "absolute": (_in_class("/tmp/evil.JPEG", b"x"), r"/tmp/evil\.JPEG: .* leads out"),
    "link": (_in_class("", odd_member(f"{_WNID}_9.JPEG", tarfile.SYMTYPE)), f"{_WNID}_9.JPEG: is a link"),
    "hard link": (
        _in_class("", odd_member(f"{_WNID}_9.JPEG", tarfile.LNKTYPE)),
        f"{_WNID}_9.JPEG: is a link",
    ),
    "device": (_in_class("", odd_member(f"{_WNID}_9.JPEG", tarfile.CHRTYPE)), f"{_WNID}_9.JPEG: is a device"),
    "pipe": (_in_class("", odd_member(f"{_WNID}_9.JPEG", tarfile.FIFOTYPE)), f"{_WNID}_9.JPEG: is a device"),
    "other file": (_in_class("readme.txt", b"x"), r"readme\.txt is not what belongs there"),
    "in the outer tar": ({imagenet.TRAIN: tar_of({"../n01440764.tar": b"x"})}, "leads out"),
    "cut off in a member": (
        {imagenet.VAL: _cut(tar_of(imagenet_val()), 11_000)},
        r"ILSVRC2012_val_0000000\d\.JPEG is damaged: unexpected end of data",
    ),
    "cut off between members": (
        {imagenet.VAL: _cut_at_third_member()},
        r"is damaged: no end and no whole header behind .*ILSVRC2012_val_00000002\.JPEG",
    ),
    "broken header": (
        {imagenet.VAL: _with_broken_header()},
        r"is damaged: no end and no whole header behind .*ILSVRC2012_val_00000002\.JPEG",
    ),
    "too few": (
        {imagenet.DEVKIT: devkit(truth=(*TRUTH, 1))},
        "lacks 1 of the 7 images of the ground truth, the first ILSVRC2012_val_00000007.JPEG",
    ),
    "too many": ({imagenet.DEVKIT: devkit(truth=TRUTH[:-1])}, "00000006.JPEG is not what belongs there"),
    "another truth": (
        {imagenet.DEVKIT: devkit(truth=(1, 7))},
        "ground_truth.txt is damaged: it names the class 7",
    ),
    "a damaged devkit": ({imagenet.DEVKIT: _cut(devkit(), 9)}, "devkit_t12.tar.gz.* is damaged"),
    "no mat": (
        {imagenet.DEVKIT: devkit(meta=b"x" * 500)},
        "meta.mat is damaged: no file of MATLAB's version 5",
    ),
    "half a mat": ({imagenet.DEVKIT: devkit(meta=meta_mat()[:-40])}, "meta.mat is damaged: it breaks off"),
    "no meta": ({imagenet.DEVKIT: gzip.compress(tar_of({"a": b"b"}))}, "lacks data/ILSVRC2012_val"),
    "no devkit": (
        {imagenet.DEVKIT: None},
        "sorted by the ground truth in ILSVRC2012_devkit_t12.tar.gz, which is not",
    ),
    "no tars": ({imagenet.TRAIN: None, imagenet.VAL: None}, "which has neither"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_named_and_never_where_training_reads(
    archives: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    changed, line = REFUSED[case]
    source, root = tmp_path / "source", tmp_path / "below" / "imagenet"
    source.mkdir()
    for path in archives.iterdir():
        content = changed.get(path.name, b"") if path.name in changed else path.read_bytes()
        if content is not None:
            (source / path.name).write_bytes(content)
    assert prepare(source, root) == 2
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith("gnexp: error: ")
    assert re.search(line, said), said
    part = "train" if imagenet.TRAIN in changed else "val"
    assert not (root / part).exists()
    assert not list(tmp_path.rglob("*evil*")) and not Path("/tmp/evil.JPEG").exists()
    # With the right archives the same command goes on from there.
    if root.exists():
        for path in archives.iterdir():
            (source / path.name).write_bytes(path.read_bytes())
        assert prepare(source, root) == 0
        assert len(files(root)) == 1 + 6 + 16


def test_folders_that_are_there_are_left_alone(
    archives: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train" / "mine").mkdir(parents=True)
    assert prepare(archives, tmp_path) == 2
    assert f"{tmp_path / 'train'} is there already, and not from here" in capfd.readouterr().err
    assert not (tmp_path / "val").exists() and (tmp_path / "train" / "mine").is_dir()
