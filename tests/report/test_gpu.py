"""What `make gpu` brings home becomes a table of the report; without it the report says that nothing was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gnexp.report import check, render
from gnexp.report.render.gpu import gpu_sentence, load_gpu
from tests.report.report_runs import TABLE, expand

ROOT = Path(__file__).parents[2]
NONE = "No GPU has been measured yet: `make gpu` measures one in eight minutes."


def figure(name: str, value: float | None, **more: Any) -> dict[str, Any]:
    none = {"unit": "", "low": None, "high": None, "n": None, "note": "", "is_wrong": False}
    return {"name": name, "value": value, **none, **more}


SUMMARY: dict[str, Any] = {
    "format": 1,
    "device": {"name": "NVIDIA H100", "kind": "cuda", "python": "3.12.3", "torch": "2.11.0", "triton": "3.6.0"},
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "started": "2026-11-26T07:00:00+00:00",
    "budget": 480.0,
    "seconds": 301.5,
    "parts": [
        {
            "part": "op", "status": "ok", "message": "", "seconds": 100.0,
            "figures": [figure("copy", 2950.5, unit="GB/s", low=2940.0, high=2961.0, n=20, note="read and written")],
        },
        {
            "part": "smoke", "status": "cut off", "message": "not done after 30 s", "seconds": 30.0,
            "figures": [figure("smoke, video", None, note="failed | `av`", is_wrong=True)],
        },
    ],
}  # fmt: skip


def write_summary(folder: Path, summary: dict[str, Any] | str, device: str = "nvidia-h100") -> Path:
    path = folder / "results" / "bench" / "gpu" / device / "summary.json"
    path.parent.mkdir(parents=True)
    path.write_text(summary if isinstance(summary, str) else json.dumps(summary), encoding="utf-8")
    return path


def report_in(folder: Path) -> tuple[str, str, tuple[str, ...]]:
    """README.md, report.html and the notes."""
    found = render([TABLE], expand, runs_dir=folder / "runs", results_dir=folder / "results")
    results = folder / "results"
    return (
        (results / "README.md").read_text(encoding="utf-8"),
        (results / "report.html").read_text(encoding="utf-8"),
        found.notes,
    )


def test_without_files_it_says_that_none_has_been_measured(tmp_path: Path) -> None:
    readme, page, _ = report_in(tmp_path)
    assert f"## On a GPU\n\n{NONE}\n" in readme
    assert "No GPU has been measured yet" in page
    assert not (tmp_path / "results" / "tables" / "gpu.md").exists()


def test_rows_have_device_versions_commit_n_and_spread(tmp_path: Path) -> None:
    path = write_summary(tmp_path, SUMMARY)
    readme, page, _ = report_in(tmp_path)
    table = (tmp_path / "results" / "tables" / "gpu.md").read_text(encoding="utf-8")
    assert "Measured on NVIDIA H100 (commit `0123456789ab`): see tables/gpu.md." in readme
    assert "python 3.12.3, torch 2.11.0, triton 3.6.0; commit `0123456789ab`; started 2026-11-26" in table
    assert "- op: ok; 100 s" in table and "- smoke: cut off; 30 s; not done after 30 s" in table
    rows = [re.sub(" +", " ", line) for line in table.splitlines() if line.startswith("|")]
    assert "| copy | 2950.5 GB/s | 2940 to 2961 | 20 | read and written |" in rows
    assert "| smoke, video | **wrong** – | – | – | failed / 'av' |" in rows
    assert "2950.5 GB/s" in page and "<strong>wrong</strong>" in page
    assert check([TABLE], expand, results_dir=tmp_path / "results") == []
    # once its files are gone, so is its table
    path.unlink()
    assert any("gpu.md" in problem for problem in check([TABLE], expand, results_dir=tmp_path / "results"))
    report_in(tmp_path)
    assert not (tmp_path / "results" / "tables" / "gpu.md").exists()


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        ("{", "is no summary of `make gpu`"),
        ("[]", "is no summary of `make gpu`"),
        (json.dumps({**SUMMARY, "format": 2}), "format must be 1, got 2"),
        (json.dumps({**SUMMARY, "parts": [{"part": "op"}]}), "is no summary of `make gpu`"),
        (json.dumps({**SUMMARY, "device": {"name": "cpu", "kind": "cpu"}}), "is a rehearsal on a CPU"),
    ],
)
def test_what_is_no_measurement_is_named_and_left_out(tmp_path: Path, summary: str, said: str) -> None:
    path = write_summary(tmp_path, summary)
    readme, _, notes = report_in(tmp_path)
    assert NONE in readme
    assert [note for note in notes if str(path) in note and said in note]


def test_the_readmes_claim_is_the_tables() -> None:
    """README.md says of GPUs what the files in results/bench/gpu say, and nothing beside it."""
    measured, notes = load_gpu(ROOT / "results")
    assert not notes
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert gpu_sentence(measured) in readme
    assert measured or "Measured on" not in readme
