"""Which code runs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]


def commit() -> dict[str, Any]:
    """The commit of the code that runs and whether it has changes; unknown outside a git checkout."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != _ROOT:
            return {"commit": "unknown", "dirty": None}
        # Results are what runs write: they do not make the code that wrote them another.
        return {
            "commit": _git("rev-parse", "HEAD"),
            "dirty": bool(_git("status", "--porcelain", "--", ".", ":!results")),
        }
    except (OSError, subprocess.SubprocessError):
        return {"commit": "unknown", "dirty": None}


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(_ROOT), *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=True,
        timeout=20,
    ).stdout.strip()
