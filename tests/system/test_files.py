"""Atomic files keep the old content until the new is whole."""

import json
import subprocess
import sys

import pytest

from gnexp.system.files import write_atomic, write_json, write_text


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2.5})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 2.5}
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_failed_write_keeps_the_old_content_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write(temporary):
        temporary.write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device: '.*/a.txt'$"):
        write_atomic(path, write)
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_nan_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, float("nan"))
    assert path.read_text(encoding="utf-8") == "1\n"


def test_a_file_in_the_way_is_an_oserror(tmp_path):
    (tmp_path / "runs").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="runs"):
        write_text(tmp_path / "runs" / "a.txt", "x")


def test_a_full_disk_is_told_with_the_path(tmp_path):
    """The system names no file where a write fails. To a child a limit on the size of files is a full disk."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from gnexp.system.files import write_text\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_text(Path(sys.argv[1]) / 'table.md', 'x' * 5000)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith(f"File too large: '{tmp_path / 'table.md'}'")
    assert not list(tmp_path.iterdir())
