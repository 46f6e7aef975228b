"""Published ids stay: a result is found by its id, and only recipe.version may move one."""

import pytest

from gnexp.system.exit_codes import EXIT_DONE, EXIT_USER_ERROR
from scripts import golden_ids
from tests.composing import COMPOSER
from tests.contracts.expansions import expand

GOLDEN = golden_ids.read_golden()
RENEW = "if that is meant, `make golden` renews tests/contracts/golden_ids.json"


@pytest.mark.parametrize("question", GOLDEN)
def test_the_runs_of_an_experiment_keep_their_ids(question: str) -> None:
    scale, experiment = question.split()
    cells = expand(experiment, scale).cells
    assert [run.run_id for cell in cells for run in cell.runs] == GOLDEN[question], RENEW


def test_every_experiment_is_listed() -> None:
    names = [f"{s} {name}" for s in ("paper", "small", "demo", "smoke") for name in COMPOSER.experiments(s)]
    assert sorted(names) == list(GOLDEN), RENEW


def test_renewing_drops_no_id_that_has_a_result(tmp_path, monkeypatch, capsys) -> None:
    golden = tmp_path / "golden_ids.json"
    monkeypatch.setattr(golden_ids, "ROOT", tmp_path)
    monkeypatch.setattr(golden_ids, "GOLDEN", golden)
    monkeypatch.setattr(golden_ids, "expand_all", lambda: GOLDEN)
    golden.write_text(golden_ids.as_text({"demo norms": ["0" * 12]}), encoding="utf-8")
    assert golden_ids.main() == EXIT_DONE  # an id without a result may go
    assert golden.read_text(encoding="utf-8") == golden_ids.as_text(GOLDEN)
    assert golden_ids.read_golden() == GOLDEN
    held = next(run_id for run_id in GOLDEN["demo norms"] if (golden_ids.RUNS / f"{run_id}.json").is_file())
    monkeypatch.setattr(golden_ids, "expand_all", lambda: {"demo norms": ["0" * 12]})
    assert golden_ids.main() == EXIT_USER_ERROR
    assert golden_ids.lost({"demo norms": [held]}, {}) == [held]
    assert capsys.readouterr().err.count("\n") == 1
    assert golden_ids.read_golden() == GOLDEN
