"""The schema of result.json: what a finished run says about itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.runs.directory import RunDirectory
from gnexp.system.files import write_json

FORMAT = 1
FINISHED = "finished"
DIVERGED = "diverged"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run's outcome. A diverged run is a result too: its metrics are empty and its series stops early."""

    run_id: str
    label: str
    scale: str
    status: str  # finished | diverged
    science: dict[str, Any]  # config.science(run): what run_id hashes
    metrics: dict[str, float]  # split/name -> median over the last recipe.report_epochs epochs
    series: list[dict[str, Any]]  # one record per epoch, as in metrics.jsonl
    num_parameters: int
    data_fingerprint: str
    env: list[dict[str, Any]]  # one entry per resumed segment: commit, dirty, versions, host, device, threads
    seconds: float  # wall time of training and evaluation, all segments
    # files that could not be read and annotations' entries that were odd (data.on_error=skip)
    num_skipped: int = 0
    format: int = FORMAT

    def save(self, path: Path) -> None:
        """Writes the result atomically."""
        write_json(path, dataclasses.asdict(self))


def load_result(path: Path) -> Result:
    """Reads a result.

    Raises:
        ValueError: the file is torn, of another format, or lacks a field.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"expected an object, got {type(values).__name__}")
        if values.get("format") != FORMAT:
            raise ValueError(f"format {values.get('format')}, this gnexp reads format {FORMAT}")
        return Result(**values)
    except (ValueError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not a result of gnexp ({error}); delete it and run its cell again"
        ) from None


def finished(directory: RunDirectory) -> Result | None:
    """The result in a run's directory, or None while there is none.

    Raises:
        ValueError: the result is there but torn.
    """
    return load_result(directory.result) if directory.result.exists() else None


def headline(result: Result) -> str:
    """A result in a few words: "17.1 % error", or "diverged"."""
    return DIVERGED if result.status == DIVERGED else score(result.metrics) or result.status


def score(metrics: Mapping[str, float]) -> str:
    """The first of the scores on val in a few words: "17.1 % error"; nothing where there is none."""
    for key, words in (
        ("val/top1_error", "% error"),
        ("val/box_ap", "box AP"),
        ("val/top1_accuracy", "% right"),
    ):
        if key in metrics:
            return f"{metrics[key]:.1f} {words}"
    return ""
