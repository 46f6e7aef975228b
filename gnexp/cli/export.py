"""gnexp export: a finished run's weights for torchvision and others."""

from __future__ import annotations

import os
from pathlib import Path

from gnexp.cli.settings import settings_of
from gnexp.config.keys import check_choice
from gnexp.launch.launch import start_job
from gnexp.runs.directory import named_run_dir


def main(words: list[str]) -> int:
    """Exports in a child; returns the exit code."""
    settings = settings_of(
        words,
        {"run": "", "format": "torchvision", "output": "", "eval_stats": "worker0", "runs_dir": "runs"},
    )
    check_choice("format", settings["format"], ("torchvision", "safetensors"))
    check_choice("eval_stats", settings["eval_stats"], ("worker0", "mean", "precise"))
    if not settings["run"]:
        raise ValueError("which run? gnexp export run=RUN_ID (or the start of it, or its directory)")
    run_dir = named_run_dir(settings["run"], Path(settings["runs_dir"]))
    arguments = [settings[key] for key in ("format", "eval_stats", "output")]
    return start_job(["export", str(run_dir.spec), *arguments], dict(os.environ)).exit_code
