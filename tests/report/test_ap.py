"""Tables of APs: what stands beside the paper's, what is missing, and that higher is better."""

import csv
from pathlib import Path
from typing import Any

import pytest

from gnexp.report import check, render
from gnexp.report.exhibits.axes import axis_title, cell_title, parse_value, short_title, value_title
from gnexp.report.parse import parse_exhibit
from tests.report import report_runs
from tests.report.report_detection import BOX, expand, load, runs_of, write_aps
from tests.report.report_runs import TABLE, write_runs

FROZEN, GN = {0: 30.9, 1: 31.0, 2: 31.1}, {0: 32.0, 1: 32.12, 2: 32.21}  # box AP by seed
TABLES = ("table4", "table5", "table6", "table7")
DASHES = ["–"] * 6


def render_in(folder: Path, *exhibits: str, **changes: Any) -> str:
    """Renders some of Tables 4 to 7 and gives the first one's text."""
    found = [{**load(name), **changes} for name in exhibits]
    render(found, expand, runs_dir=folder / "runs", results_dir=folder / "results")
    return (folder / "results" / "tables" / f"{exhibits[0]}.md").read_text(encoding="utf-8")


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} "))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def part(text: str, start: str) -> str:
    """The text from some words on."""
    return text[text.index(start) :]


def write_c4(folder: Path, *, num_seeds: int = 3) -> None:
    """Frozen BN and GN on C4: GN 1.1 points better in boxes, no better in masks."""
    for norm, boxes in (("frozen_bn", FROZEN), ("gn", GN)):
        runs = [run for run in runs_of("coco_c4", norm=norm) if run.seed < num_seeds]
        write_aps(folder / "runs", runs, boxes, mask=25.0)


def test_effects_come_first_and_stand_beside_the_paper_s(tmp_path: Path) -> None:
    write_c4(tmp_path)
    text = render_in(tmp_path, "table4")
    header = next(line for line in text.splitlines() if line.startswith("| norm"))
    columns = ["box AP", "box AP50", "box AP75", "mask AP", "mask AP50", "mask AP75"]
    assert [cell.strip() for cell in header.split("|")[2:-1]] == columns
    effects = part(text, "**Effect in points: AP minus AP of BN\\***")
    assert row(effects, "BN*, ours") == ["0"] * 6
    assert row(effects, "GN, the paper") == ["+1.1", "+1.3", "+1.3", "+0.8", "+1.6", "+0.7"]
    # By hand: 32.11 minus 31.00, variances 0.0111 and 0.01, error 0.0839, t(3.99) 2.779, so 0.233.
    assert row(effects, "GN, ours") == ["+1.1 ± 0.2 (n=3)"] * 3 + ["0.0 ± 0.0 (n=3)"] * 3
    behind = part(text, "**APs behind it, % (not comparable with the paper's)**")
    assert row(behind, "BN*, ours")[:2] == ["31.0 ± 0.2 (n=3)", "51.0 ± 0.2 (n=3)"]
    assert text.index("Effect in points") < text.index("APs behind it") < text.index("## Paper scale")
    assert row(part(text, "**Validation AP, %**"), "BN*, the paper")[0] == "37.7"


def test_it_speaks_of_ap_and_never_of_error(tmp_path: Path) -> None:
    write_c4(tmp_path)
    render_in(tmp_path, *TABLES)
    for name in TABLES:
        text = (tmp_path / "results" / "tables" / f"{name}.md").read_text(encoding="utf-8")
        assert "error" not in text.lower() and "top-1" not in text.lower()
        assert "higher is better" in text
    assert "BN* is batch normalization frozen" in render_in(tmp_path, "table4")
    page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert "<caption>APs behind it" in page and "<caption>Errors" not in page


def test_contrasts_say_which_ap_is_higher_as_far_as_the_interval_allows(tmp_path: Path) -> None:
    write_c4(tmp_path)
    text = render_in(tmp_path, "table4")
    assert (
        "- The box AP of GN is 1.1 points higher than that of BN* (95 % interval +0.9 to +1.3, 3 seeds; the paper: "
        "+1.1).\n" in text
    )
    assert "- The mask AP of GN and that of BN* are not told apart (0.0 points, " in text
    assert row(text, "box AP: GN minus BN*") == ["+1.1", "+1.11 [+0.88, +1.34] (n=3)"]
    readme = (tmp_path / "results" / "README.md").read_text(encoding="utf-8")
    assert "In our miniature (fashion_coco, thin_mask_rcnn): The box AP of GN is 1.1 points higher" in readme
    write_aps(tmp_path / "other" / "runs", runs_of("coco_c4", norm="frozen_bn"), GN, mask=26.0)
    write_aps(tmp_path / "other" / "runs", runs_of("coco_c4", norm="gn"), FROZEN, mask=26.0)
    assert "The box AP of GN is 1.1 points lower than that of BN*" in render_in(tmp_path / "other", "table4")


@pytest.mark.parametrize(("num_seeds", "effect"), [(1, "1.1"), (2, "1.1")])
def test_one_seed_or_two_claim_nothing(tmp_path: Path, num_seeds: int, effect: str) -> None:
    write_c4(tmp_path, num_seeds=num_seeds)
    text = render_in(tmp_path, "table4")
    assert row(text, "GN, ours")[0] == f"+{effect} (n={num_seeds})"
    words = f"({num_seeds} seed{'s' * (num_seeds - 1)}, so no interval and no claim; the paper: "
    assert f"The box AP of GN was {effect} points higher than that of BN* {words}+1.1)" in text
    assert f"The mask AP of GN was the same as that of BN* {words}+0.8)" in text
    assert " is 1." not in text and "±" not in "".join(row(text, "GN, ours"))


def test_diverged_seeds_are_counted(tmp_path: Path) -> None:
    write_c4(tmp_path)
    bn = runs_of("coco_c4", norm="bn")
    write_aps(tmp_path / "runs", bn[:1], {0: 20.0}, mask=15.0)
    write_runs(tmp_path / "runs", bn[1:], error=0.0, status="diverged", metrics={}, series=[])
    text = render_in(tmp_path, "table4")
    assert row(text, "BN, ours")[::3] == [f"−1{k}.0 (n=1 to 3, 2 of 3 diverged)" for k in (1, 0)]
    assert row(part(text, "APs behind it"), "BN, ours")[0] == "20.0 (n=1, 2 of 3 diverged)"
    write_runs(tmp_path / "all" / "runs", bn, error=0.0, status="diverged", metrics={}, series=[])
    write_c4(tmp_path / "all")
    assert row(render_in(tmp_path / "all", "table4"), "BN, ours") == ["3 of 3 diverged"] * 6


def test_missing_cells_are_dashes_with_their_commands(tmp_path: Path) -> None:
    assert "Nothing has been run yet." in render_in(tmp_path, "table4")
    write_c4(tmp_path)
    text = render_in(tmp_path, "table4")
    assert row(text, "BN, ours") == row(text, "BN, the paper") == DASHES
    assert "    gnexp train experiment=coco_c4 scale=small norm=bn seed=1\n" in text
    assert "    gnexp train experiment=coco_c4 scale=paper norm=gn seed=0 data.root=/data/coco\n" in text
    text = render_in(tmp_path, "table6")
    assert "    gnexp sweep experiment=coco_fpn scale=small\n" in text
    assert "    gnexp sweep experiment=coco_fpn scale=paper data.root=/data/coco\n" in text


def test_paper_scale_has_both_and_the_difference(tmp_path: Path) -> None:
    write_aps(tmp_path / "runs", runs_of("coco_c4", "paper", norm="gn"), {0: 38.5}, mask=33.9)
    text = part(render_in(tmp_path, "table4"), "## Paper scale")
    assert row(text, "GN, ours")[::3] == ["38.5 (n=1)", "33.9 (n=1)"]
    assert row(text, "GN, difference")[::3] == ["−0.3", "+0.3"]
    assert row(text, "BN*, ours") == row(text, "BN*, difference") == DASHES


def test_a_cell_of_the_paper_alone_shows_its_values_and_no_row_of_ours(tmp_path: Path) -> None:
    for model in ("thin_mask_rcnn", "thin_mask_rcnn_deep"):
        write_aps(tmp_path / "runs", runs_of("coco_scratch", model=model, norm="gn"), GN, mask=25.0)
    text = render_in(tmp_path, "table7")
    quoted = "mask_rcnn_r50_fpn, sync BN, the paper"
    assert row(text, quoted) == ["−5.0", "−4.6", "−5.9", "–", "–", "–"]
    assert row(part(text, "## Paper scale"), quoted) == ["34.5", "55.2", "37.7", "–", "–", "–"]
    assert text.count("sync BN, ") == 2 and "AP minus AP of GN of the same model" in text
    assert "sync BN is batch normalization over the images of all workers" in text
    rows = list(
        csv.DictReader(
            (tmp_path / "results" / "tables" / "table7.csv").read_text(encoding="utf-8").splitlines()
        )
    )
    found = [r for r in rows if r["norm"] == "sync_bn"]
    assert [r["paper"] for r in found] == ["34.5", "55.2", "37.7", "", "", ""]
    assert {(r["scale"], r["n"], r["experiment"], r["run_ids"]) for r in found} == {("paper", "0", "", "")}


def test_a_cell_of_ours_alone_has_a_dash_for_the_paper_s(tmp_path: Path) -> None:
    for box in ("none", "bn"):
        runs = runs_of("coco_fpn_head", **{"norm": "frozen_bn", BOX: box})
        write_aps(tmp_path / "runs", runs, FROZEN if box == "none" else GN, mask=25.0)
    text = render_in(tmp_path, "table5")
    name = f"BN*, {value_title(BOX, 'bn')}"
    assert row(text, f"{name}, the paper") == DASHES
    assert row(text, f"{name}, ours")[0] == "+1.1 ± 0.2 (n=3)"


def test_what_stands_for_what_holds_of_models_and_recipes(tmp_path: Path) -> None:
    for model, more in (("thin_mask_rcnn", 0.0), ("thin_mask_rcnn_deep", 2.0)):
        for where, boxes in (
            ({"norm": "frozen_bn"}, FROZEN),
            ({"norm": "gn", "recipe": "small_coco_long"}, GN),
        ):
            runs = runs_of("coco_fpn", model=model, **where)
            write_aps(tmp_path / "runs", runs, {seed: ap + more for seed, ap in boxes.items()}, mask=25.0)
    paper = runs_of("coco_fpn", "paper", model="mask_rcnn_r101_fpn", recipe="coco_1x")
    write_aps(tmp_path / "runs", paper, {0: 40.0}, mask=36.0)
    text = render_in(tmp_path, "table6")
    effects = part(text, "AP minus AP of BN\\* with small_coco of the same model**")
    assert row(effects, "mask_rcnn_r101_fpn, GN, coco_long, the paper")[:1] == ["+1.4"]
    assert row(effects, "thin_mask_rcnn_deep, GN, small_coco_long, ours")[:1] == ["+1.1 ± 0.2 (n=3)"]
    rows = list(
        csv.DictReader(
            (tmp_path / "results" / "tables" / "table6.csv").read_text(encoding="utf-8").splitlines()
        )
    )
    effect = "val/box_ap minus frozen_bn with small_coco"
    found = {(r["model"], r["norm"], r["recipe"]): r for r in rows if r["quantity"].startswith(effect[:15])}
    ours, theirs = (
        found["thin_mask_rcnn_deep", "gn", "small_coco_long"],
        found["mask_rcnn_r101_fpn", "gn", "coco_1x"],
    )
    assert (ours["mean"], ours["n"], ours["paper"]) == ("1.1100", "3", "1.4")
    assert (theirs["scale"], theirs["mean"], theirs["paper"]) == ("paper", "0.0000", "0.9")


def test_csv_has_every_ap_under_every_set_of_statistics(tmp_path: Path) -> None:
    write_c4(tmp_path)
    render_in(tmp_path, "table4", eval_stats="precise")
    rows = list(
        csv.DictReader(
            (tmp_path / "results" / "tables" / "table4.csv").read_text(encoding="utf-8").splitlines()
        )
    )
    gn = [r for r in rows if r["scale"] == "small" and r["norm"] == "gn"]
    assert len(gn) == 6 * (3 + 1)
    found = {r["quantity"]: (r["mean"], r["paper"]) for r in gn}
    assert found["val/mask_ap75"] == ("27.0000", "")
    assert found["val/mask_ap75_precise"] == ("28.0000", "35.4")
    assert found["val/box_ap_precise minus frozen_bn"] == ("1.1100", "1.1")


def test_without_a_reference_there_are_aps_and_no_effects(tmp_path: Path) -> None:
    write_c4(tmp_path)
    text = render_in(tmp_path, "table4", reference={})
    assert "Effect in points" not in text and "**APs, % (not comparable" in text
    rows = (tmp_path / "results" / "tables" / "table4.csv").read_text(encoding="utf-8").splitlines()
    assert all(
        ", in the text" in row for row in rows if " minus " in row
    )  # which speaks of differences alone


def test_other_statistics_and_a_control_are_shown_as_of_errors(tmp_path: Path) -> None:
    write_c4(tmp_path)
    cells = [{"norm": "frozen_bn"}, {"norm": "gn"}]
    text = render_in(tmp_path, "table4", eval_stats_cells=cells, control="coco_c4")
    assert "**Box AP under each set of running statistics, %**" in text
    assert row(text, "`precise`")[-1] == "+1.11 [+0.88, +1.34] (n=3)"
    assert row(text, "GN, control") == row(text, "GN, ours")


def test_the_whole_report_with_errors_and_aps(tmp_path: Path) -> None:
    """README, page, chapters and --check, beside a table of errors; the same runs make the same bytes."""

    def expand_all(experiment: str, scale: str) -> Any:
        known = report_runs.expand if experiment.startswith("sizes") else expand
        return known(experiment, scale)

    exhibits = [TABLE, *map(load, TABLES)]
    contents = []
    for folder in (tmp_path / "first", tmp_path / "again"):
        write_c4(folder)
        write_runs(folder / "runs", report_runs.runs_of("sizes"))
        place = folder / "results"
        render(exhibits, expand_all, runs_dir=folder / "runs", results_dir=place)
        contents.append(
            {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*.*") if p.is_file()}
        )
        assert check(exhibits, expand_all, results_dir=place) == []
        exhibits.reverse()
    assert contents[0] == contents[1]
    readme, page = contents[0]["README.md"].decode(), contents[0]["report.html"].decode()
    assert "[table](tables/table7.md), [numbers](tables/table7.csv)" in readme
    assert "BN at 2 loses 5.9 points against BN at 32" in readme
    assert "- Of error: n = 3 seeds per cell" in readme and "- Of box AP: n = 3 seeds per cell" in readme
    assert "The paper's own scale, on imagenet and coco:" in readme
    assert '<section id="ask-coco_c4"' in page and '<article id="table4">' in page
    changed = tmp_path / "first" / "results" / "tables" / "table4.md"
    changed.write_text(
        changed.read_text(encoding="utf-8").replace("+1.1 ± 0.2", "+1.2 ± 0.2", 1), encoding="utf-8"
    )
    assert [
        "table4.md" in words for words in check(exhibits, expand_all, results_dir=changed.parents[1])
    ] == [True]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"paper": {"gn": 38.8}}, "paper must list box AP, box AP50, .*, got 38.8"),
        ({"paper": {"gn": [38.8, 59.2]}}, r"paper must list box AP, .*, got \[38.8, 59.2\]"),
        ({"paper": {"gn": [1, 2, 3, 4, 5, "six"]}}, "six"),
        ({"columns": "norm"}, "neither rows nor columns"),
        ({"paper_only": [{"norm": "sync_bn"}]}, "paper_only names .*sync_bn.*, of which paper has no value"),
        ({"paper": None}, "kind ap_table needs paper"),
    ],
)
def test_what_an_ap_table_cannot_hold_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"exhibit table4: .*{words}"):
        parse_exhibit({**load("table4"), **change})


@pytest.mark.parametrize(
    ("values", "title"),
    [
        ({"norm": "frozen_bn", "model.box_norm": "none"}, "BN* with no norm in the box head"),
        ({"norm": "gn", "model.box_norm": "gn"}, "GN with GN in the box head"),
        ({"model": "thin", "norm": "gn", "recipe": "small_coco"}, "GN in thin with small_coco"),
        ({"norm": "sync_bn"}, "sync BN"),
        ({"model.box_norm": "gn"}, "GN in the box head"),
        (
            {"norm": "bn", "model.fpn_norm": "ln", "model.mask_norm": "gn", "model": "thin"},
            "BN with LN in the FPN and GN in the mask head in thin",
        ),
    ],
)
def test_cells_of_a_detector_are_named(values: dict[str, Any], title: str) -> None:
    assert cell_title(values) == title


def test_a_norm_of_a_head_is_named_as_a_norm() -> None:
    assert axis_title("model.box_norm") == "box head norm"
    assert short_title("model.box_norm", "none") == "no norm"
    assert parse_value(BOX, None) == parse_value(BOX, "null") == "none"  # as a grid spells what is absent


@pytest.mark.parametrize("name", TABLES)
def test_values_of_the_paper_and_cells_of_the_experiments_agree(name: str) -> None:
    exhibit = parse_exhibit(load(name))
    small, paper = (
        {tuple(cell.coordinates.values()) for cell in expand(exhibit.experiments[0], scale).cells}
        for scale in ("small", "paper")
    )
    assert set(exhibit.paper) - set(exhibit.paper_only) <= {exhibit.paper_key(key) for key in small} <= paper
    assert {exhibit.reference_of(key) for key in small if key[-1] != "bn"} <= small
    for box, box50, box75, mask, mask50, mask75 in exhibit.paper.values():
        assert box and box50 and box75 and box < box75 < box50
        assert mask is None or (mask50 and mask75 and mask < mask75 < mask50 and mask < box)
