"""result.json: written whole, read back as it was, refused when it is anything else."""

import json
from pathlib import Path

import pytest

from gnexp.runs.result import load_result
from tests.report.report_runs import result_of, runs_of

RESULT = result_of(runs_of("sizes")[0])


def test_round_trip(tmp_path: Path) -> None:
    RESULT.save(tmp_path / "result.json")
    assert load_result(tmp_path / "result.json") == RESULT


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"format": 1}', '{"format": 2}', '{"format": 1, "more": 2}', "\udcff"],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"result\.json is not a result of gnexp .* run its cell again"):
        load_result(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_torn_result_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "result.json"
    RESULT.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content)) - 3])
    with pytest.raises(ValueError, match="is not a result"):
        load_result(path)


def test_a_lacking_field_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    RESULT.save(path)
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["metrics"]
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ValueError, match="metrics"):
        load_result(path)


def test_nan_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    RESULT.save(path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        result_of(runs_of("sizes")[0], seconds=float("nan")).save(path)
    assert load_result(path) == RESULT
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
