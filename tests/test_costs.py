"""docs/reproduce.md's table of costs is what scripts/costs.py says."""

import json
import re
from pathlib import Path

import pytest

from gnexp.compose.composer import expand
from gnexp.config.keys import group_options
from scripts import costs


def test_every_experiment_has_its_cost() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \|", costs.PAGE.read_text(encoding="utf-8").partition(costs.BEGIN)[2], re.MULTILINE
    )
    assert rows == costs.experiments() and sorted(rows) == group_options("experiment")


def test_a_run_counts_as_its_cells_quickest_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of two seeds whose runs start from parents of their own, and one of which was paused."""
    expansion = expand("kinetics", "small")
    for i, cell in enumerate(expansion.cells[:2]):
        for run, seconds in zip(cell.runs[:2], (100.0 * (i + 1), 5000.0), strict=True):
            (tmp_path / f"{run.run_id}.json").write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
    monkeypatch.setattr(costs, "RUNS", tmp_path)
    num = len({run.run_id for cell in expansion.cells for run in cell.runs})
    assert costs._measured(expansion) == (f"4 of {num}", "0.2", "200 s")  # 600 seconds


@pytest.mark.slow
def test_the_page_holds_what_the_program_says() -> None:
    text = costs.PAGE.read_text(encoding="utf-8")
    assert (
        text[text.index(costs.BEGIN) + len(costs.BEGIN) : text.index(costs.END)].strip() == costs.make_table()
    )
