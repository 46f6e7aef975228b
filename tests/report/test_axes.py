"""Cells by any axes: how they are named, looked up beside the paper's, and shown."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from gnexp.config import RunConfig, norm_config
from gnexp.config.experiment import Cell, Expansion
from gnexp.report import render
from gnexp.report.exhibits.axes import cell_spelling, cell_title, parse_value, value_of, value_title
from gnexp.report.exhibits.cells import cell_key
from gnexp.report.parse import parse_exhibit
from tests.report.report_runs import TABLE, write_runs

GROUPS: dict[str, Any] = {
    "id": "table3",
    "order": 1,
    "kind": "table",
    "title": "Error by number of groups",
    "source": "Table 3",
    "verified": "one",
    "experiments": ["groups"],
    "axes": ["norm.num_groups"],
    "columns": "norm.num_groups",
    "reference": {"norm.num_groups": 1},
    "paper": {32: 24.1, 8: 24.4, 1: 25.3},
    "contrasts": [{"of": {"norm.num_groups": 8}, "minus": {"norm.num_groups": 1}}],
}
DEPTH: dict[str, Any] = {
    "id": "depth",
    "order": 2,
    "kind": "table",
    "name": "ResNet-101",
    "title": "Error by depth",
    "source": "Section 4.1",
    "verified": "one",
    "experiments": ["depth"],
    "axes": ["model", "norm", "batch"],
    "rows": ["model", "norm"],
    "columns": "batch",
    "stands_for": {"model": {"thin": "resnet50", "deep": "resnet101"}},
    "reference": {"norm": "bn", "batch": 32},
    "paper": {
        "resnet50": {"bn": {32: 23.6, 2: 34.7}, "gn": {32: 24.1, 2: 24.1}},
        "resnet101": {"bn": {32: 22.0, 2: 31.9}, "gn": {32: 22.4, 2: 23.0}},
    },
    "contrasts": [
        {
            "of": {"model": "deep", "norm": "bn", "batch": 2},
            "minus": {"model": "deep", "norm": "bn", "batch": 32},
        },
    ],
}
BN = norm_config(kind="bn", momentum=0.1)


def expand(experiment: str, scale: str) -> Expansion:
    """Stands in for compose.expand: the groups 8 and 1 (32 too in the paper), and two models by norm and batch."""
    grids: dict[str, list[tuple[dict[str, Any], RunConfig]]] = {"groups": [], "depth": []}
    for groups in (8, 1) if scale == "small" else (32, 8, 1):
        run = RunConfig(norm=norm_config(num_groups=groups), scale=scale)
        grids["groups"].append(({"norm.num_groups": groups}, run))
    for model in ("thin", "deep") if scale == "small" else ("resnet50", "resnet101"):
        blocks = (1, 1, 1, 1) if model in ("thin", "resnet50") else (3, 3, 3, 3)
        for norm in (BN, norm_config()):
            for batch in (32, 2):
                run = RunConfig(norm=norm, batch=batch, scale=scale)
                named = dataclasses.replace(run.model, name=model, blocks=blocks)
                where = {"model": model, "norm": norm.kind, "batch": batch}
                grids["depth"].append((where, dataclasses.replace(run, model=named)))
    cells = tuple(
        Cell(
            coordinates=where,
            overrides=(f"experiment={experiment}",),
            runs=tuple(dataclasses.replace(run, seed=seed) for seed in range(2)),
        )
        for where, run in grids[experiment]
    )
    axes = {axis: tuple(cell.coordinates[axis] for cell in cells) for axis in cells[0].coordinates}
    return Expansion(experiment=experiment, question="Why?", scale=scale, axes=axes, cells=cells)


def rendered(folder: Path, exhibit: dict[str, Any], errors: dict[int, float]) -> str:
    """The table of an exhibit whose small cells err so, by their place in the grid."""
    for place, error in errors.items():
        runs = expand(exhibit["experiments"][0], "small").cells[place].runs
        for run in runs:
            write_runs(folder / "runs", [run], error=error + run.seed)
    render([exhibit], expand, runs_dir=folder / "runs", results_dir=folder / "results")
    return (folder / "results" / "tables" / f"{exhibit['id']}.md").read_text(encoding="utf-8")


def test_a_cell_takes_an_axis_from_its_grid_and_else_from_its_runs() -> None:
    run = RunConfig(norm=norm_config(num_groups=1), batch=4)
    cell = Cell(coordinates={"norm": "ln"}, overrides=(), runs=(run,))
    axes = ("norm", "batch", "model", "data", "norm.num_groups", "data.clip_length")
    assert cell_key(cell, axes) == ("ln", 4, "thin_resnet", "fashion_scenes", 1, "none")
    scenes = dataclasses.replace(run, data=dataclasses.replace(run.data, exposure=0.5))
    assert value_of(scenes, "data.exposure") == 0.5
    assert value_of(RunConfig(), "norm") == "gn8"


def test_a_value_has_the_type_of_its_field() -> None:
    assert parse_value("batch", "32") == 32
    assert parse_value("data.exposure", 1) == 1.0
    assert parse_value("norm", "in") == "in"
    with pytest.raises(ValueError, match=r"norm.num_groups takes int values, got 'many'"):
        parse_value("norm.num_groups", "many")


@pytest.mark.parametrize(
    ("values", "title", "spelling"),
    [
        ({"norm": "bn", "batch": 32}, "BN at 32", "bn at 32"),
        ({"model": "deep", "norm": "bn", "batch": 2}, "BN at 2 in deep", "bn at 2, deep"),
        (
            {"data": "scenes", "norm": "gn", "data.exposure": 0.5},
            "GN on scenes, exposure 0.5",
            "gn, scenes, data.exposure=0.5",
        ),
        ({"model": "deep"}, "deep", "deep"),
        ({"norm": "none"}, "no norm", "none"),
        ({"batch": 4}, "4 images per worker", "batch=4"),
        ({"norm.num_groups": 8}, "G = 8", "norm.num_groups=8"),
        ({"norm.channels_per_group": 16}, "C/G = 16", "norm.channels_per_group=16"),
        ({"data.exposure": 1.0}, "exposure 1", "data.exposure=1"),
        ({"recipe.weight_decay": 0.1}, "weight decay 0.1", "recipe.weight_decay=0.1"),
    ],
)
def test_cells_are_named_shortly(values: dict[str, Any], title: str, spelling: str) -> None:
    assert (cell_title(values), cell_spelling(values)) == (title, spelling)


def test_an_axis_alone_is_named_in_full() -> None:
    assert value_title("norm", "gn") == "GN"
    assert value_title("model", "thin_resnet") == "thin_resnet"


def test_columns_that_only_the_paper_has_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    text = rendered(tmp_path, GROUPS, {0: 16.0, 1: 18.0})
    assert "| groups (G) |   32 |    8 |   1 |\n" in text
    assert "| the paper  | −1.2 | −0.9 | 0.0 |\n" in text
    assert "**Our effect in points: error minus error of G = 1**" in text
    assert "| groups (G) |          8 |   1 |\n" in text
    assert "| ours       | −2.0 (n=2) |   0 |\n" in text
    assert (
        "G = 8 erred 2.0 points less than G = 1 (2 seeds, so no interval and no claim; the paper: −0.9)"
        in text
    )
    csv = (tmp_path / "results" / "tables" / "table3.csv").read_text(encoding="utf-8")
    assert csv.startswith("exhibit,scale,experiment,norm.num_groups,quantity,mean,")
    assert "table3,small,groups,8,val/top1_error minus norm.num_groups=1,-2.0000," in csv


def test_a_miniature_stands_beside_what_it_stands_for(tmp_path: Path) -> None:
    text = rendered(tmp_path, DEPTH, {0: 20.0, 1: 25.0, 4: 10.0, 5: 14.0})
    assert text.startswith("# ResNet-101. Error by depth\n")
    assert "error minus error of BN at 32 of the same model" in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    place = rows.index(["resnet101, BN, the paper", "0.0", "+9.9"])
    assert rows[place + 1] == ["deep, BN, ours", "0", "+4.0 (n=2)"]
    assert ["resnet101, BN, the paper", "22.0", "31.9"] in rows
    assert "BN at 2 in deep erred 4.0 points more than BN at 32 in deep" in text and "the paper: +9.9" in text
    assert "fashion_scenes, thin and deep; 2 seeds per cell" in text
    models = [line for line in text.splitlines() if line.startswith("- Model: ")]
    assert [words.split(" (")[0] for words in models] == ["- Model: thin", "- Model: deep"]
    assert text.count("The two scales share no cell") == 0
    csv = (tmp_path / "results" / "tables" / "depth.csv").read_text(encoding="utf-8")
    # 25 and 26 at seeds 0 and 1, less 20 and 21.
    assert "depth,small,depth,thin,bn,2,val/top1_error minus bn at 32,5.0000,,2,0,2,11.1," in csv


def test_what_the_paper_does_not_ask_says_nothing_of_the_paper_s_values(tmp_path: Path) -> None:
    ours = {key: value for key, value in GROUPS.items() if key not in ("paper", "verified")}
    text = rendered(tmp_path, {**ours, "source": "gnexp"}, {0: 16.0, 1: 18.0})
    assert "the paper does not ask it" in text
    assert "| the paper" not in text and "the paper:" not in text and "paper's values" not in text
    assert "| G = 8 minus G = 1 | −2.00 (n=2) |\n" in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"axes": ["norm.num_group"]}, "unknown key norm.num_group; did you mean norm.num_groups"),
        ({"rows": "batch"}, "rows must be one of norm.num_groups, got batch"),
        ({"axes": ["norm", "norm.num_groups"]}, "must name each of the axes norm, norm.num_groups once"),
        ({"rows": "norm.num_groups"}, "must name each of the axes norm.num_groups once"),
        ({"paper": {8: {32: 24.4}}}, "float"),
        ({"paper": {"many": 24.4}}, "norm.num_groups takes int values"),
        ({"reference": {"norm": "ln"}}, "norm is none of the axes norm.num_groups"),
        ({"contrasts": [{"of": {"norm": "ln"}, "minus": {}}]}, "a cell is named by norm.num_groups"),
        ({"stands_for": {"model": {}}}, "model is none of the axes"),
        ({"source": "gnexp"}, "neither paper nor verified"),
        ({"verified": "surely"}, "verified must be two, one, secondary, got surely"),
    ],
)
def test_what_does_not_fit_the_axes_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"exhibit table3: .*{words}"):
        parse_exhibit({**GROUPS, **change})


def test_a_paper_nested_too_shallow_is_refused() -> None:
    with pytest.raises(ValueError, match=r"paper must map values of batch at its level, got 23\.6"):
        parse_exhibit({**TABLE, "paper": {"bn": 23.6}})
