"""Every exhibit under conf/exhibit: it parses, its experiments exist, its cells are runs, its facts agree."""

import re
from pathlib import Path
from typing import Any

import pytest

from gnexp.config.keys import conf_dir
from gnexp.report.exhibits.cells import cell_key
from gnexp.report.exhibits.exhibit import Exhibit, Key
from gnexp.report.parse import parse_exhibit
from tests.contracts import expansions
from tests.contracts.expansions import expand

ROOT = Path(__file__).parents[2]
FILES = sorted((conf_dir() / "exhibit").glob("*.yaml"))
NAMES = list(expansions.exhibits())  # those at demo scale included
load = expansions.exhibit


def cells(exhibit: Exhibit, names: tuple[str, ...], scale: str) -> set[Key]:
    return {cell_key(cell, exhibit.axes) for name in names for cell in expand(name, scale).cells}


# What the parser refuses of one exhibit it refuses of each: all of them are a test marked slow.
REFUSING = [pytest.param(p.stem, marks=() if p == FILES[0] else pytest.mark.slow) for p in FILES]


@pytest.fixture(params=NAMES)
def exhibit(request: pytest.FixtureRequest) -> Exhibit:
    return parse_exhibit(load(request.param))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_is_named_by_its_file_and_says_what_it_is(path: Path) -> None:
    exhibit = parse_exhibit(load(path.stem))
    assert exhibit.id == path.stem
    assert path.read_text(encoding="utf-8").startswith(f"# {exhibit.name}: ")
    assert exhibit.source


def test_its_cells_are_cells_of_its_experiments(exhibit: Exhibit) -> None:
    small, paper = (cells(exhibit, exhibit.experiments, scale) for scale in (exhibit.scale, "paper"))
    named = {key for contrast in exhibit.contrasts for key in (contrast.of, contrast.minus)}
    named |= {*exhibit.eval_stats_cells}
    assert named | {*exhibit.cells} <= small
    if exhibit.reference:
        assert {exhibit.reference_of(key) for key in small} <= small
    if exhibit.is_ours:
        return  # the paper's scale has what it needs to compose, not the question's cells
    assert {*map(exhibit.paper_key, named), *exhibit.paper} - {*exhibit.paper_only} <= paper
    assert not paper & {*exhibit.paper_only}
    if exhibit.reference:
        assert {exhibit.paper_key(exhibit.reference_of(key)) for key in small} <= paper


@pytest.mark.parametrize("name", [name for name in NAMES if load(name).get("control")])
def test_its_control_asks_the_same_cells_of_other_runs(name: str) -> None:
    exhibit = parse_exhibit(load(name))
    assert exhibit.control is not None
    assert cells(exhibit, (exhibit.control,), exhibit.scale) == cells(
        exhibit, exhibit.experiments, exhibit.scale
    )
    ours, control = (
        {run.run_id for cell in expand(name, exhibit.scale).cells for run in cell.runs}
        for name in (exhibit.experiments[0], exhibit.control)
    )
    assert not ours & control


@pytest.mark.parametrize("name", REFUSING)
def test_an_unknown_key_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=rf"exhibit {name}: unknown key papper"):
        parse_exhibit({**load(name), "papper": {}})


@pytest.mark.parametrize("name", REFUSING)
@pytest.mark.parametrize("key", ["title", "kind", "verified", "experiments", "source"])
def test_a_lacking_key_is_refused_by_name(name: str, key: str) -> None:
    values = {"verified": "one", **load(name)}
    if key == "verified":
        values["source"] = "Table 2"  # what is not from the paper has nothing to verify
    del values[key]
    with pytest.raises(ValueError, match=rf"exhibit {name}: .*{key}"):
        parse_exhibit(values)


@pytest.mark.parametrize("name", REFUSING)
@pytest.mark.parametrize(
    "change",
    [
        {"eval_stats": "best"},
        {"kind": "picture"},
        {"verified": "surely"},
        {"experiments": "norms"},
        {"paper": [1]},
        {"paper": {"bn": {"x": 1.0}}},
        {"reference": {"colour": "bn"}},
        {"axes": ["norm", "bach"]},
        {"stands_for": {"colour": {}}},
        {"contrasts": [{"of": {"norm": "bn", "batch": 2}}]},
        {"contrasts": [{"plus": 1}]},
        {"in_text": [{"of": {"norm": "bn"}, "minus": {"norm": "gn"}, "says": "lower"}]},
        {"stands_for": {"norm": {"gn": "bn", "ln": "bn"}, "batch": {2: 32, 4: 32}}},
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"exhibit {name}: "):
        parse_exhibit({**load(name), **change})


def test_exhibits_agree_where_they_show_the_same_run() -> None:
    found: dict[str, set[tuple[float | None, ...]]] = {}
    runs: dict[tuple[Key, int], str] = {}
    for id_ in NAMES:
        exhibit = parse_exhibit(load(id_))
        for name in exhibit.experiments if exhibit.paper else ():
            for cell in expand(name, "paper").cells:
                key = cell_key(cell, exhibit.axes)
                runs[key, exhibit.order] = cell.runs[0].run_id
        for key, values in exhibit.paper.items():
            if key not in exhibit.paper_only:
                found.setdefault(runs[key, exhibit.order], set()).add(values)
    assert all(len(values) == 1 for values in found.values())


def test_values_that_the_paper_s_prose_repeats() -> None:
    """Sections 1 and 4.1."""
    value = parse_exhibit(load("table2")).paper_value
    assert [value(key) for key in (("gn", 32), ("bn", 2), ("bn", 4), ("gn", 4))] == [24.1, 34.7, 27.3, 24.2]


def test_each_has_its_own_place() -> None:
    orders = [parse_exhibit(load(file.stem)).order for file in FILES]
    assert len(set(orders)) == len(orders) and min(orders) == 1


def test_a_twin_asks_the_same_at_the_other_scale(exhibit: Exhibit) -> None:
    if not exhibit.twin:
        assert f"{exhibit.id}_demo" not in NAMES
        return
    twin = parse_exhibit(load(exhibit.twin))
    assert twin.twin == exhibit.id and {twin.scale, exhibit.scale} == {"small", "demo"}
    assert (twin.kind, twin.experiments, twin.axes) == (exhibit.kind, exhibit.experiments, exhibit.axes)


# The log's numbers are those of its days, so it leads to what they came from.
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.stem != "log")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_exhibit_s_name_leads_to_its_twin_only_where_it_has_no_file_itself(page: Path) -> None:
    """Once [Figure 5] is drawn of photographs, the link of that name leads there."""
    link = re.compile(r"(?<!!)\[([^]]*)\]\((\S*results/\w+)/(\w+)(\.\w+)\)")
    for words, folder, name, ending in link.findall(page.read_text(encoding="utf-8")):
        twin = load(name).get("twin") if name in NAMES else None
        if name.endswith("_demo") and "demo" not in words:
            assert not (page.parent / folder / f"{twin}{ending}").exists(), words


def test_an_exhibit_with_a_block_for_the_demo_is_two() -> None:
    """The same question at two scales, each naming its own, in the order of reading."""
    small, demo = (parse_exhibit(load(name)) for name in ("table2", "table2_demo"))
    assert (small.scale, small.name, small.control) == ("small", "Table 2", None)
    assert (demo.scale, demo.name, demo.control) == ("demo", "Table 2 at demo scale", "batch_size_control")
    assert small.paper == demo.paper and small.order == demo.order and small.regime != demo.regime
    assert (small.twin, demo.twin) == (demo.id, small.id)
    with pytest.raises(ValueError, match="exhibit table2: scale must be small or demo, got smoke"):
        parse_exhibit({**load("table2"), "scale": "smoke"})
