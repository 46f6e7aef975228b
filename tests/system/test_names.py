"""Names of files of any bytes: kept whole in lists, shown in one line, in every terminal."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gnexp.cli import main as cli
from gnexp.launch import torchrun
from gnexp.launch import trainer as worker
from gnexp.system.names import escape_unprintable, read_reasons, shown, write_reasons

# Of a newline, a tab, U+2028, U+0085, letters beyond ASCII, a byte that is no UTF-8, and a backslash.
ODD = [
    os.fsdecode(name)
    for name in (
        b"a\nb",
        b"a\tb",
        "a\u2028b".encode(),
        "a\u0085b".encode(),
        "é日".encode(),
        b"a\xffb",
        b"a\\b",
    )
]


def test_a_list_holds_every_name_in_ascii(tmp_path: Path) -> None:
    reasons = {name: f"reason {i}\nof {name!r}" for i, name in enumerate(ODD)}
    path = tmp_path / "list.jsonl"
    assert read_reasons(path) == {}
    write_reasons(path, reasons)
    assert read_reasons(path) == reasons
    assert len(path.read_text(encoding="ascii").splitlines()) == len(ODD)
    path.write_text('{"file": "a"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="is no list of files and reasons .*; delete it"):
        read_reasons(path)


def test_a_name_is_shown_in_one_line() -> None:
    assert [shown(name) for name in ODD] == [
        "a\\nb", "a\\tb", "a\\u2028b", "a\\x85b", "é日", "a\\udcffb", "a\\b"
    ]  # fmt: skip
    assert shown(b"a b\xff") == "a b\\udcff"


def test_what_a_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="iso8859-1"))
    assert cli.main(["--version"]) == 0
    print("\N{MINUS SIGN}1.3 ± 0.2", ODD[5], flush=True)
    assert written.getvalue().endswith(b"\\u22121.3 \xb1 0.2 a\\udcffb\n")
    monkeypatch.setattr(sys, "stdout", None)
    escape_unprintable()  # without a stdout there is nothing to do


def test_a_stream_that_is_lost_is_let_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python asks where it stands, which a pipe that took a file's place cannot say."""
    read, write = os.pipe()
    with open(tmp_path / "out.txt", "w", encoding="utf-8") as stream:
        os.dup2(write, stream.fileno())
        with pytest.raises(OSError, match="Illegal seek"):
            stream.reconfigure(errors="strict")
        monkeypatch.setattr(sys, "stdout", stream)
        escape_unprintable()
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("main", [cli.main, torchrun.main, worker.main])
def test_every_entry_point_escapes_first(main: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    class CalledError(Exception):
        pass

    def raise_it() -> None:
        raise CalledError

    monkeypatch.setattr(sys.modules[main.__module__], "escape_unprintable", raise_it)
    with pytest.raises(CalledError):
        main()
