"""Published ids stay: a result is found by its id, and only recipe.version may move one."""

import json
from pathlib import Path

import pytest

from tests.contracts.expansions import expand

GOLDEN: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("golden_ids.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("question", GOLDEN)
def test_the_runs_of_an_experiment_keep_their_ids(question: str) -> None:
    scale, experiment = question.split()
    cells = expand(experiment, scale).cells
    assert [run.run_id for cell in cells for run in cell.runs] == GOLDEN[question]
