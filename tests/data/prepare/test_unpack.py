"""What every data set's unpacking holds to: killed, short of room, on a full disk, beside another one."""

import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections import namedtuple
from pathlib import Path

import pytest

from gnexp.cli.main import main
from gnexp.data.prepare import unpack
from gnexp.data.prepare.imagenet import plan_imagenet
from gnexp.data.prepare.part import Part
from gnexp.data.prepare.staging import Staging
from tests.data.prepare.test_imagenet import files
from tests.data.published import WNIDS, write_imagenet

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_imagenet(tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="module")
def whole(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("whole")
    assert main(words(archives, root)) == 0
    return files(root)


def words(archives: Path, root: Path) -> list[str]:
    return ["data", "prepare", "imagenet", f"from={archives}", f"to={root}", "md5=false"]


_KILLED = """
import os, signal, sys
from gnexp.cli.main import main
from gnexp.data.prepare import unpack
write, left = unpack.write_entry, int(sys.argv[1])
unpack._SYNC_BYTES = 1

def write_some(path, entry):
    global left
    if not left:
        assert "torch" not in sys.modules
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(next(iter(entry.member.read()))[:100])
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    write(path, entry)

unpack.write_entry = write_some
main(sys.argv[2:])
"""


def test_killed_it_goes_on_and_training_sees_no_half(
    archives: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the midst of a file of train's second class; the first one is on the disk, and is not looked at again."""
    root = tmp_path / "imagenet"
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(6 + 8 + 3), *words(archives, root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (root / "train").exists() and len(files(root / "val")) == 6
    unpacked = root / ".unpacking" / "train"
    kept = unpacked / WNIDS[1] / f"{WNIDS[1]}_1.JPEG"
    inode = kept.stat().st_ino
    lost = unpacked / WNIDS[1] / f"{WNIDS[1]}_2.JPEG"
    lost.write_bytes(bytes(lost.stat().st_size))  # what a power cut may leave: the size, and zeros
    written = []
    write = unpack.write_entry
    monkeypatch.setattr(unpack, "write_entry", lambda path, entry: (written.append(path), write(path, entry)))
    assert main(words(archives, root)) == 0
    assert files(root) == whole
    assert {path.parent.name for path in written} == {WNIDS[1]}
    assert (root / "train" / WNIDS[1] / kept.name).stat().st_ino == inode


@pytest.mark.parametrize("step", ["before", "behind"])
def test_killed_beside_the_rename(
    archives: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class KilledError(BaseException):
        pass

    rename = os.rename

    def die(source: Path, target: Path) -> None:
        if target.name == "train":
            if step == "behind":
                rename(source, target)
            raise KilledError
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", die)
        with pytest.raises(KilledError):
            main(words(archives, tmp_path))
    assert (tmp_path / "train").exists() == (step == "behind")
    assert main(words(archives, tmp_path)) == 0
    assert files(tmp_path) == whole


def test_room_is_asked_for_first(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 40, 1 << 40, 12_000))
    assert main(words(archives, tmp_path)) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert f"MB in {tmp_path}, 0.012 MB are free; free 0." in line and "or give another to=" in line
    assert not list(tmp_path.rglob("*.JPEG"))


_FULL = """
import subprocess, sys
from gnexp.cli.main import main
mount = ["mount", "-t", "tmpfs", "-o", "size=9m,nr_inodes=12", "none", sys.argv[1]]
subprocess.run(mount, check=True)
print(main(sys.argv[2:]), flush=True)
subprocess.run(["mount", "-o", "remount,nr_inodes=900", "none", sys.argv[1]], check=True)
print(main(sys.argv[2:]), flush=True)
subprocess.run(["ls", sys.argv[1], sys.argv[1] + "/train"], check=True)
"""


def test_a_disk_that_fills_up_loses_nothing(archives: Path, tmp_path: Path) -> None:
    """A real one, that has room for the bytes and not for so many files."""
    unshare = shutil.which("unshare")
    probe = [str(unshare), "-rm", "mount", "-t", "tmpfs", "none", str(tmp_path)]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not permitted here (unshare -rm)")
    done = subprocess.run(
        [unshare, "-rm", sys.executable, "-c", _FULL, str(tmp_path), *words(archives, tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert "No space left on device: the disk is full; mend that and give the same command again" in line
    lines = done.stdout.splitlines()
    assert "2" in lines and "0" in lines[lines.index("2") :]
    assert sorted(WNIDS) == lines[-2:]


def test_a_file_that_the_disk_does_not_take(archives: Path, tmp_path: Path) -> None:
    """Where no disk can be mounted: the kernel's limit on a file's size fails the same call."""
    plan = plan_imagenet(archives)
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(ValueError, match="File too large: the disk is full; mend that"):
            unpack.unpack(plan, "imagenet", tmp_path, checks_md5=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "val").exists()


def test_two_at_once_are_refused(archives: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Staging(tmp_path).held():
        assert main(words(archives, tmp_path)) == 2
    assert f"another gnexp data prepare is at work in {tmp_path}" in capfd.readouterr().err


def test_an_md5_is_computed_once(archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right or wrong: 148 GB take minutes to read."""
    read = []
    monkeypatch.setattr(unpack, "_md5_of", lambda archive: read.append(archive.path.name) or "0" * 32)
    for _ in range(2):
        with pytest.raises(ValueError, match="has the MD5 00000000"):
            unpack.unpack(plan_imagenet(archives), "imagenet", tmp_path, checks_md5=True)
    assert len(read) == 3
    changed = tmp_path / "archives"
    shutil.copytree(archives, changed)
    staging = Staging(tmp_path)
    with staging.held():
        found: list[Part] = list(plan_imagenet(changed).parts)
        assert all(staging.md5_of(archive) is None for part in found for archive in part.archives)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ([], "which data set? gnexp data prepare NAME from=FOLDER to=FOLDER, of coco, imagenet, kinetics"),
        (["imagnet"], "unknown data set 'imagnet': choose from .*; did you mean imagenet?"),
        (["coco"], "which archives? gnexp data prepare NAME"),
        (["coco", "from=/"], "where to? gnexp data prepare NAME"),
        (["coco", "from=/nowhere", "to=/x"], "from= must be a folder, got /nowhere, which is not there"),
        (["coco", "from=/", "to=/dev/null"], "to= must be a folder, got /dev/null, which is none"),
        (["coco", "from=/", "to=/x", "md5=no"], "unknown md5 'no': choose from true, false"),
        (["coco", "data.root=/", "to=/x"], "unknown key data.root: known are from, to, md5"),
        (["kinetics", "from=/dev", "to=/x"], "which has no tar in train/ or val/"),
    ],
)
def test_a_mistake_is_one_clear_line(given: list[str], line: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "prepare", *given]) == 2
    (said,) = capfd.readouterr().err.splitlines()
    assert re.search(line.replace("?", r"\?"), said), said


def test_a_terminal_has_a_bar(archives: Path, tmp_path: Path) -> None:
    """Of a part's bytes, on stderr; what is said stays on stdout."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))  # rows and columns
    command = [sys.executable, "-m", "gnexp", *words(archives, tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=theirs
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "\rval:   0%|" in shown and "\rtrain:   0%|" in shown and "B/s]" in shown
    assert done.stdout.decode().splitlines()[-1] == f"{tmp_path}/train: 16 files"
