"""Every table as the report writes it, read back: each value of the paper's is conf/exhibit's, under its own name."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gnexp.compose.exhibits import load_stale
from gnexp.report import render
from gnexp.report.exhibits.axes import parse_value, short_title
from gnexp.report.exhibits.statistics import LEAST_SEEDS
from gnexp.report.kinds import KINDS
from gnexp.report.parse import parse_exhibit
from tests.contracts.expansions import exhibits, expand

RESULTS = Path(__file__).parents[2] / "results"
EXHIBITS = exhibits()
TABLES = [name for name, values in EXHIBITS.items() if KINDS[values["kind"]].derive is not None]
WITH_VALUES = [name for name in TABLES if EXHIBITS[name].get("paper")]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all tables, rendered from the runs that the repository holds."""
    folder = tmp_path_factory.mktemp("rendered")
    (folder / "results").mkdir()
    (folder / "results" / "runs").symlink_to(RESULTS / "runs")
    render(
        [EXHIBITS[name] for name in TABLES],
        expand,
        runs_dir=folder / "runs",
        results_dir=folder / "results",
        is_whole=False,
        stale=load_stale(),
    )
    return folder / "results" / "tables"


def paper_cells(values: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    """The cells of an exhibit's YAML with their values, by a walk that shares no code with the report's."""
    depth = len(values.get("axes", ("norm", "batch")))

    def walk(node: Any, key: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
        if len(key) == depth:
            yield key, node if isinstance(node, list) else [node]
            return
        for name, inner in node.items():
            yield from walk(inner, (*key, name))

    yield from walk(values["paper"], ())


def markdown_rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line[2:-2].split(" | ")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def read_csv(tables: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((tables / f"{name}.csv").read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("name", WITH_VALUES)
def test_the_paper_s_values_in_markdown(tables: Path, name: str) -> None:
    """At the paper's scale each row of the paper's stands once and holds its own values."""
    values = EXHIBITS[name]
    exhibit = parse_exhibit(values)
    text = (tables / f"{name}.md").read_text(encoding="utf-8")
    header, *rows = markdown_rows(text[text.index("## Paper scale") :])
    theirs = [row for row in rows if row[0].endswith("the paper")]
    names = [row[0] for row in theirs]
    assert len(names) == len(set(names))
    found = {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in theirs}
    axes = values.get("axes", ["norm", "batch"])
    for key, numbers in paper_cells(values):
        at = {axis: parse_value(axis, value) for axis, value in zip(axes, key, strict=True)}
        label = ", ".join((*(exhibit.value_title(axis, at[axis]) for axis in exhibit.rows), "the paper"))
        columns = [m.title for m in exhibit.score.measures]
        if exhibit.columns is not None:
            columns = [short_title(exhibit.columns, at[exhibit.columns])]
        assert len(columns) == len(numbers)
        for column, number in zip(columns, numbers, strict=True):
            assert found[label][column] == ("–" if number is None else f"{number:.1f}"), (label, column)


@pytest.mark.parametrize("name", WITH_VALUES)
def test_the_paper_s_values_in_csv(tables: Path, name: str) -> None:
    """Of each cell at the paper's scale, and of each of ours the cell that it stands for; and nothing beside."""
    values = EXHIBITS[name]
    exhibit = parse_exhibit(values)
    axes = values.get("axes", ["norm", "batch"])
    stands_for = values.get("stands_for", {})
    theirs = {tuple(map(str, key)): numbers for key, numbers in paper_cells(values)}
    shown = {exhibit.key_of(measure): place for place, measure in enumerate(exhibit.score.measures)}
    rows = [row for row in read_csv(tables, name) if row["quantity"] in shown]
    assert {tuple(r[axis] for axis in axes) for r in rows if r["scale"] == "paper"} >= {*theirs}
    for row in rows:
        pairs = {axis: {str(a): str(b) for a, b in stands_for.get(axis, {}).items()} for axis in axes}
        mapped = pairs if row["scale"] != "paper" else {}
        key = tuple(mapped.get(axis, {}).get(row[axis], row[axis]) for axis in axes)
        number = theirs[key][shown[row["quantity"]]] if key in theirs else None
        assert row["paper"] == ("" if number is None else f"{number:.1f}"), row


@pytest.mark.parametrize("name", WITH_VALUES)
def test_the_paper_s_effects_in_csv(tables: Path, name: str) -> None:
    """A difference of the paper's is the difference of two of its values in the same file."""
    values = EXHIBITS[name]
    axes = values.get("axes", ["norm", "batch"])
    rows = [row for row in read_csv(tables, name) if row["scale"] == "paper"]
    at = {(tuple(r[axis] for axis in axes), r["quantity"]): r["paper"] for r in rows}
    reference = {
        axis: str(values.get("stands_for", {}).get(axis, {}).get(value, value))
        for axis, value in values["reference"].items()
    }
    for (key, quantity), effect in at.items():
        metric, minus, _ = quantity.partition(" minus ")
        if not minus or quantity.endswith(", in the text"):
            continue
        other = tuple(reference.get(axis, value) for axis, value in zip(axes, key, strict=True))
        a, b = at[key, metric], at[other, metric]
        assert effect == ("" if not (a and b) else f"{float(a) - float(b):.1f}".replace("-0.0", "0.0"))


def test_what_the_paper_says_in_its_text_alone(tables: Path) -> None:
    """Sections 4.1 and 4.2, approximate: its tables have no values of these, and ours once said that it has none."""
    table = {name: (tables / f"{name}.md").read_text(encoding="utf-8") for name in TABLES}
    rows = {
        name: {row[0]: row[1:3] for row in markdown_rows(text[text.index("that the paper's prose alone") :])}
        for name, text in table.items()
        if "that the paper's prose alone" in text
    }
    assert rows.keys() == {"table1", "table1_demo", "table4", "table5", "table6"}
    assert rows["table1"]["training error: GN at 32 minus BN at 32"] == ["Section 4.1", "lower"]
    assert rows["table4"]["box AP: BN minus BN*"] == ["Section 4.2", "about −6"]
    assert rows["table4"]["box AP: LN minus GN"] == ["Section 4.2", "−1.9"]
    in_head = "box AP: BN* with BN in the box head minus BN* with no norm in the box head"
    assert rows["table5"][in_head] == ["Section 4.2", "about −9"]
    longer = "BN* in thin_mask_rcnn with small_coco_long minus BN* in thin_mask_rcnn with small_coco"
    assert rows["table6"][f"box AP: {longer}"] == ["Section 4.2", "no gain"]
    found = {
        (name, row["norm"]): row["paper"]
        for name in ("table1", "table4", "table5", "table6")
        for row in read_csv(tables, name)
        if row["quantity"].endswith(", in the text")
    }
    assert found == {
        ("table1", "gn"): "",
        ("table4", "bn"): "-6.0",
        ("table4", "ln"): "-1.9",
        ("table5", "frozen_bn"): "-9.0",
        ("table6", "frozen_bn"): "",
    }


@pytest.mark.parametrize("name", TABLES)
def test_no_interval_below_three_seeds(tables: Path, name: str) -> None:
    for row in read_csv(tables, name):
        assert row["half_width"] == "" or int(row["n"]) >= LEAST_SEEDS, row
    for row in markdown_rows((tables / f"{name}.md").read_text(encoding="utf-8")):
        for cell in row:
            assert not re.search(r"(±|\]).*\(n=[12]\b", cell), cell


def test_table_8_as_the_paper_has_it(tables: Path) -> None:
    """Its columns were once shown under others' names: 16 of our frames stand for its 32, and 32 for its 64."""
    text = (tables / "table8.md").read_text(encoding="utf-8")
    rows = markdown_rows(text[text.index("## Paper scale") :])
    assert [row for row in rows if row[0].startswith(("BN", "GN"))] == [
        [f"{norm}, {frames} frames, {clips} clips per worker, the paper", top1, top5]
        for norm, frames, clips, top1, top5 in (
            ("BN", 32, 8, "73.3", "90.7"),
            ("BN", 32, 4, "72.1", "90.0"),
            ("BN", 64, 4, "73.3", "90.8"),
            ("GN", 32, 8, "73.0", "90.6"),
            ("GN", 32, 4, "72.8", "90.6"),
            ("GN", 64, 4, "74.5", "91.7"),
        )
    ]
