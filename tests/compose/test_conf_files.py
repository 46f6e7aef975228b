"""A user's files of YAML that cannot be read are named, with the line."""

import pytest

from gnexp.cli import main as cli

BROKEN = {
    "a tab": (
        b"# mine\nname: mine\nkind:\n\t- gn\n",
        "line 4: found character '\\t' that cannot start any token",
    ),
    "latin-1": (
        b"# first\n# gr\xfc\xdfe\nname: mine\n",
        "line 2: the byte 0xfc is no UTF-8; save the file as UTF-8",
    ),
    "a nul": (b"name: mine\nkind: g\x00n\n", "line 2: the character #x0000 is not allowed in YAML"),
    "no colon": (b"name: mine\nkind gn\n", "line 3: could not find expected ':'"),
    "an open bracket": (b"name: mine\nkind: [gn\n", "line 3: expected ',' or ']'"),
    "a key twice": (b"kind: gn\nname: mine\nkind: gn\n", "line 3: found duplicate key kind"),
}


VERBS = (["train", "norm=mine"], ["sweep", "experiment=null", "norm=gn,mine"], ["plan", "norm=mine"])


@pytest.mark.parametrize(
    ("words", "content", "said"),
    [(VERBS[i % len(VERBS)], *of_file) for i, of_file in enumerate(BROKEN.values())],
    ids=BROKEN.keys(),
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, monkeypatch, capfd, words, content, said):
    (tmp_path / "conf" / "norm").mkdir(parents=True)
    (tmp_path / "conf" / "norm" / "mine.yaml").write_bytes(content)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert cli.main([*words, "--config-dir", str(tmp_path / "conf")]) == 2
    shown = capfd.readouterr()
    assert f"{tmp_path}/conf/norm/mine.yaml, {said}" in shown.err
    assert shown.err.count("\n") == 1
    assert not list((tmp_path / "work").iterdir())
