"""gnexp export: a finished run's weights for torchvision and others."""

from __future__ import annotations

import os
from pathlib import Path

from gnexp.cli.settings import settings_of
from gnexp.launch.launch import start_job
from gnexp.runs.directory import named_run_dir


def main(words: list[str]) -> int:
    """Exports in a child; returns the exit code."""
    settings = settings_of("export", words)
    run_dir = named_run_dir(settings["run"], Path(settings["runs_dir"]))
    arguments = [settings[key] for key in ("format", "eval_stats", "output")]
    return start_job(["export", str(run_dir.spec), *arguments], dict(os.environ)).exit_code
