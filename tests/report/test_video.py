"""Table 8 and Figure 7: accuracies beside the paper's, and curves of the shorter clips alone."""

from pathlib import Path

import pytest

from gnexp.compose.composer import expand
from gnexp.compose.exhibits import load_exhibits
from gnexp.report import render
from gnexp.report.exhibits.cells import measure
from gnexp.report.parse import parse_exhibit
from tests.report.report_runs import directory_of, result_of

TABLE, FIGURE = load_exhibits(["table8", "figure7"])


def write(folder: Path) -> None:
    """Top-1 falls from cell to cell, BN's of many short clips first; precise is a point above worker 0."""
    for place, cell in enumerate(expand("kinetics", "small").cells):
        for run in cell.runs:
            top1 = 80.0 - 2 * place + run.seed
            metrics = {
                "val/top1_accuracy": top1,
                "val/top5_accuracy": top1 + 10,
                "val/clip_error": 40.0 + place,
            }
            metrics |= {f"{key}_precise": value + 1 for key, value in metrics.items()}
            metrics |= {
                f"{key}_mean": value for key, value in metrics.items() if not key.endswith("_precise")
            }
            series = [{"epoch": epoch, "val/clip_error": 70.0 - epoch + place} for epoch in range(1, 4)]
            result = result_of(run, 0.0, metrics=metrics, series=series)
            result.save(directory_of(folder / "runs", run) / "result.json")


def cells_of(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} "))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_table_8(tmp_path: Path) -> None:
    write(tmp_path)
    render([TABLE], expand, runs_dir=tmp_path / "runs", results_dir=tmp_path / "results")
    text = (tmp_path / "results" / "tables" / "table8.md").read_text(encoding="utf-8")
    paper = text[text.index("## Paper scale") :]
    assert cells_of(paper, "GN, 64 frames, 4 clips per worker, the paper") == ["74.5", "91.7"]
    behind = text[text.index("**Accuracies behind it") :]
    first = "BN, 16 frames, 8 clips per worker, ours"
    assert cells_of(behind, first)[0].startswith("81.5 ")  # precise statistics, mean of two seeds
    assert cells_of(text, "BN, 32 frames, 4 clips per worker, the paper") == ["−1.2", "−0.7"]
    assert cells_of(text, "BN, 16 frames, 4 clips per worker, ours")[0] == "−2.0 (n=2)"
    assert "was 2.0 points lower than that of BN" in text


def test_figure_7_shows_the_shorter_clips_alone(tmp_path: Path) -> None:
    write(tmp_path)
    render([FIGURE], expand, runs_dir=tmp_path / "runs", results_dir=tmp_path / "results")
    assert (tmp_path / "results" / "figures" / "figure7.png").exists()
    exhibit = parse_exhibit(FIGURE)
    for scale, frames in (("small", 16), ("paper", 32)):
        found = measure([expand("kinetics", scale)], exhibit.axes, {}, (), exhibit.shows)
        ours = [("sync_bn", frames, 4)] if scale == "small" else []
        assert (
            list(found.cells) == [(norm, frames, batch) for norm in ("bn", "gn") for batch in (8, 4)] + ours
        )


def test_the_papers_cells_are_the_experiments() -> None:
    exhibit = parse_exhibit(TABLE)
    small, paper = (
        list(measure([expand("kinetics", scale)], exhibit.axes, {}).cells) for scale in ("small", "paper")
    )
    *common, ours = [exhibit.paper_key(key) for key in small]
    assert common == paper == list(exhibit.paper) and ours == ("sync_bn", 32, 4)


def test_only_names_an_axis() -> None:
    with pytest.raises(ValueError, match="exhibit figure7: recipe is none of the axes"):
        parse_exhibit({**FIGURE, "only": {"recipe": "small"}})
