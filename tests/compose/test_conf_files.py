"""A file of YAML that cannot be read is named, with the line, and so is one that names no kind."""

import shutil

import pytest

from gnexp.cli import main as cli
from gnexp.compose import conf_files, parts
from gnexp.compose.conf_files import ConfFiles
from gnexp.config.keys import conf_dir
from gnexp.config.kinds import KIND_GROUPS
from tests.grids import keep

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


CASES = [(VERBS[i % len(VERBS)], *of_file) for i, of_file in enumerate(BROKEN.values())]


@pytest.mark.parametrize(("words", "content", "said"), keep(CASES[:3], CASES), ids=BROKEN.keys())
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


@pytest.mark.parametrize("group", KIND_GROUPS)
def test_a_users_file_without_a_kind_is_refused(tmp_path, monkeypatch, capfd, group):
    """It took the fields of gn, resnet or fashion_scenes in silence."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "conf" / group / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("{}\n" if group == "norm" else "name: mine\n", encoding="utf-8")
    assert cli.main(["train", f"{group}=mine", "--config-dir", str(tmp_path / "conf")]) == 2
    said = capfd.readouterr().err
    assert said.startswith(f"gnexp: error: {path} names no kind: add a line `kind: ...` with ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("group", KIND_GROUPS)
def test_a_file_of_gnexps_own_without_a_kind_is_refused(tmp_path, monkeypatch, group):
    shutil.copytree(conf_dir(), tmp_path / "conf")
    path = tmp_path / "conf" / group / "mine.yaml"
    path.write_text("{}\n" if group == "norm" else "name: mine\n", encoding="utf-8")
    for module in (conf_files, parts):
        monkeypatch.setattr(module, "conf_dir", lambda: tmp_path / "conf")
    with pytest.raises(ValueError, match=rf"^{path} names no kind: "):
        ConfFiles().merge([f"{group}=mine"])
