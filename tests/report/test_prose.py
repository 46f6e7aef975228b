"""What the report says in whole sentences stands in conf/prose.yaml, whose schema refuses what it does not know."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import yaml

from gnexp import report
from gnexp.config.keys import conf_dir
from gnexp.report.exhibits.measures import score_named
from gnexp.report.exhibits.prose import FILE, Prose
from gnexp.report.kinds import KINDS

MOST_WORDS = 10  # of a text in code between two values that are filled in
MODULES = [report.__name__, *(m.name for m in pkgutil.walk_packages(report.__path__, f"{report.__name__}."))]
NOTES = {"notes", "problems"}  # lists of what is told to who runs the command


@dataclass(frozen=True)
class Inner:
    says: str
    counts: Annotated[str, "number"]
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    inner: Inner


def proses() -> Iterator[tuple[str, Prose[object]]]:
    """Every section that a module asks for, with the module's own name."""
    for name in MODULES:
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, Prose):
                yield name.rpartition(".")[2], value


def long_texts(code: str) -> list[str]:
    """Texts of more than MOST_WORDS words, outside docstrings, errors and notes."""
    tree = ast.parse(code)
    spared: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            of = node.func
            is_note = (
                isinstance(of, ast.Attribute) and isinstance(of.value, ast.Name) and of.value.id in NOTES
            )
            is_spared = is_note or (isinstance(of, ast.Name) and of.id == "require")
        else:
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            is_spared = is_docstring or isinstance(node, ast.Raise)
        spared |= {*ast.walk(node)} if is_spared else set()
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in spared)
    return [t.value for t in texts if isinstance(t.value, str) and len(t.value.split()) > MOST_WORDS]


def write(folder: Path, text: str) -> Path:
    path = folder / FILE
    path.write_text(text, encoding="utf-8")
    return path


def test_each_section_is_of_the_module_of_its_name() -> None:
    found = dict(proses())
    assert {name: prose.section for name, prose in found.items()} == {name: name for name in found}
    assert found.keys() == yaml.safe_load((conf_dir() / FILE).read_text(encoding="utf-8")).keys()
    for prose in found.values():
        assert prose.text


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_of_every_kind_is_there(kind: str) -> None:
    score = score_named(KINDS[kind].score)
    assert set(score.compared) <= set(score.measures)


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(ValueError, match=r"measures\.scores must be one of error, ap, accuracy, got moon"):
        score_named("moon")


def test_numbers_are_filled_in_and_names_left(tmp_path: Path) -> None:
    text = "outer: {inner: {says: '{confidence}', counts: '{number} of {least_seeds}', more: [a, b]}}"
    inner = Prose("outer", Outer).read(write(tmp_path, text)).inner
    assert inner == Inner("95 %", "{number} of 3", ("a", "b"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other: {}", "conf/prose.yaml: lacks a section outer"),
        ("outer: [", "cannot read "),
        ("outer: {inner: {says: a}}", "outer.inner lacks counts"),
        ("outer: {inner: {sayz: a, counts: b}}", "outer.inner lacks says and does not know sayz"),
        ("outer: {inner: {says: a, counts: b, of: c}}", "outer.inner does not know of"),
        ("outer: {inner: a}", "outer.inner must hold keys and values, got 'a'"),
        ("outer: {inner: {says: 3, counts: b}}", "outer.inner.says must be a text, got 3"),
        ("outer: {inner: {says: '', counts: b}}", "outer.inner.says must be a text, got ''"),
        ("outer: {inner: {says: a, counts: b, more: c}}", "outer.inner.more must be a list, got 'c'"),
        ("outer: {inner: {says: a, counts: b, more: [c, 3]}}", r"outer.inner.more\[1\] must be a text, got 3"),
        ("outer: {inner: {says: a, counts: '{numbr}'}}", r"outer.inner.counts names \{numbr\}, which nothing fills"),
        ("outer: {inner: {says: '{number}', counts: b}}", r"outer.inner.says names \{number\}, which nothing fills"),
        ("outer: {inner: {says: a, counts: '{number:g}'}}", r"names \{number\}, which nothing fills in"),
        ("outer: {inner: {says: a, counts: '{number'}}", "outer.inner.counts: expected '}'"),
        ("outer: {inner: {says: '{{a}}', counts: b}}", "outer.inner.says has a brace that names nothing"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Prose("outer", Outer).read(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot read .*prose.yaml"):
        Prose("outer", Outer).read(tmp_path / FILE)


@pytest.mark.parametrize("name", MODULES)
def test_no_prose_stands_in_code(name: str) -> None:
    """A longer text belongs into conf/prose.yaml, or into conf/exhibit where it is of one exhibit."""
    path = importlib.import_module(name).__file__
    assert path is not None
    assert long_texts(Path(path).read_text(encoding="utf-8")) == []


def test_prose_in_code_is_found() -> None:
    short = " ".join(["word"] * MOST_WORDS)
    long = f"{short} more"
    assert long_texts(f"def f(n):\n    return f'{{n}} {long} {{n}}'") == [f" {long} "]
    assert long_texts(f"TEXT = (\n    '{short} '\n    'more'\n)") == [long]
    assert long_texts(f"told.append('{long}')") == [long]
    assert long_texts(f"TEXT = '{short}'") == []
    spared = (f"raise ValueError('{long}')", f"require(n, f'{long} {{n}}')", f"notes.append('{long}')")
    assert long_texts("\n".join([f"'''{long}'''", *spared])) == []
