"""Kinds of exhibits: each is one file and one line, and nothing else knows its name."""

import ast
from pathlib import Path
from typing import Any

import pytest

from gnexp import report
from gnexp.report.exhibits.cells import Findings
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.kinds import KINDS
from gnexp.report.kinds.kind import Kept, Kind
from gnexp.report.parse import parse_exhibit
from gnexp.report.render.blocks import Block, Items
from tests.report.report_runs import TABLE, expand, runs_of, write_runs

GNEXP = Path(report.__file__).parents[1]
FILES = {path.stem: path for path in (GNEXP / "report" / "kinds").glob("*.py")}
NOT_KINDS = {"__init__", "kind"}


def _document(exhibit: Exhibit, found: Findings, kept: Kept) -> list[Block]:
    return [
        Items(tuple(f"{exhibit.title_of(key)}: {len(c.finished)}" for key, c in found.ours.cells.items()))
    ]


SEEDS_LIST = Kind(needs=frozenset({"lines"}), document=_document, folder="figures", links=(("list", ".md"),))
EXHIBIT: dict[str, Any] = {
    "id": "seeds",
    "order": 1,
    "kind": "seeds_list",
    "title": "Seeds of each cell",
    "source": "gnexp",
    "experiments": ["sizes"],
    "lines": "norm",
}


def test_a_new_kind_is_one_object_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A throwaway kind: read, rendered, indexed, checked, and its leftovers found, by its line in KINDS alone."""
    monkeypatch.setitem(KINDS, "seeds_list", SEEDS_LIST)
    write_runs(tmp_path / "runs", runs_of("sizes"))
    results = tmp_path / "results"
    report.render([EXHIBIT], expand, runs_dir=tmp_path / "runs", results_dir=results)
    text = (results / "figures" / "seeds.md").read_text(encoding="utf-8")
    assert text.startswith("# Seeds. Seeds of each cell\n") and "- BN at 2: 3\n" in text
    assert "[list](figures/seeds.md)" in (results / "README.md").read_text(encoding="utf-8")
    assert "<li>BN at 2: 3</li>" in (results / "report.html").read_text(encoding="utf-8")
    (results / "tables").mkdir()
    (results / "tables" / "seeds.csv").write_text("", encoding="utf-8")
    (problem,) = report.check([EXHIBIT], expand, results_dir=results)
    assert "tables/seeds.csv is left over" in problem
    with pytest.raises(ValueError, match="exhibit seeds: kind seeds_list needs lines"):
        parse_exhibit({**EXHIBIT, "lines": None})


def test_no_text_of_an_exhibit_is_markup_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "seeds_list", SEEDS_LIST)
    words = {"title": "5 < 6 & `a <i>` of **b**", "name": "<script>alert('n')</script>"}
    results = tmp_path / "results"
    report.render([{**EXHIBIT, **words}], expand, runs_dir=tmp_path / "runs", results_dir=results)
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in page and "<i>" not in page
    assert "</span> 5 &lt; 6 &amp; <code>a &lt;i&gt;</code> of <strong>b</strong></h3>" in page


def test_each_kind_has_a_file_of_its_name() -> None:
    assert FILES.keys() - NOT_KINDS == KINDS.keys()


def _asks_for_a_kind(node: ast.AST) -> bool:
    """Compares something with a kind's name, or takes the name of a kind apart."""
    if isinstance(node, ast.Compare):
        parts = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
        return any(isinstance(part, ast.Constant) and part.value in KINDS for part in parts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return isinstance(node.func.value, ast.Attribute) and ast.unparse(node.func.value) == "exhibit.kind"
    return isinstance(node, ast.MatchValue) and getattr(node.value, "value", None) in KINDS


def test_nothing_asks_for_a_kind_by_its_name() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(GNEXP.rglob("*.py"))}
    asked = [
        f"{path}:{getattr(node, 'lineno', '')}: {ast.unparse(node)}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if _asks_for_a_kind(node)
    ]
    assert asked == []


@pytest.mark.parametrize(
    "code", ["exhibit.kind == 'table'", "exhibit.kind.endswith('table')", "kind in ('pictures', 'x')"]
)
def test_a_question_for_a_kind_is_seen(code: str) -> None:
    assert any(map(_asks_for_a_kind, ast.walk(ast.parse(code))))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target_note": ""}, "contrasts with at_least or at_most need target_aside and target_note"),
        ({"regime": ["selected"]}, r"regime must be a text, got \['selected'\]"),
        ({"score": "AP"}, "unknown key score"),
    ],
)
def test_what_an_exhibit_must_say_in_words(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"exhibit table2: {words}"):
        parse_exhibit({**TABLE, **change})


def test_the_page_says_of_a_regime_what_its_yaml_says(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs_of("sizes"))
    results = tmp_path / "results"
    told = {"trust": "Few images.", "regime": "Nothing was searched for", "target_aside": "one of many"}
    report.render([{**TABLE, **told}], expand, runs_dir=tmp_path / "runs", results_dir=results)
    readme = (results / "README.md").read_text(encoding="utf-8")
    assert "- Few images.\n" in readme and "thin_resnet; one of many): BN at 2 loses" in readme
    table = (results / "tables" / "table2.md").read_text(encoding="utf-8")
    assert "Nothing was searched for, so only effects are compared with the paper's" in table
    assert "selected" not in readme + table
