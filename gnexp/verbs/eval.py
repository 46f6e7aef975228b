"""gnexp eval: a finished run under other running statistics."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from gnexp.keys import check_choice
from gnexp.launch import named_run_dir, start_worker
from gnexp.verbs.settings import settings_of


def main(words: list[str]) -> int:
    """Scores the final weights in a child; returns the exit code."""
    settings = settings_of(words, {"run": "", "eval_stats": "worker0", "runs_dir": "runs"})
    check_choice("eval_stats", settings["eval_stats"], ("worker0", "mean", "precise", "all"))
    if not settings["run"]:
        raise ValueError("which run? gnexp eval run=RUN_ID (or the start of it, or its directory)")
    run_dir = named_run_dir(settings["run"], Path(settings["runs_dir"]))
    arguments = ["eval", str(run_dir / "spec.json"), settings["eval_stats"]]
    ended = start_worker(arguments, dict(os.environ), stdout=subprocess.PIPE)
    if ended.exit_code == 0:
        rows = [line.split("\t") for line in ended.out.decode().splitlines() if "\t" in line]
        names = list(dict.fromkeys(name for _, name, _ in rows))
        print(f"{run_dir.name}\n{'eval_stats':<12}" + "  ".join(f"val/{name}, %" for name in names))
        for stats in dict.fromkeys(stats for stats, _, _ in rows):
            scores = {name: float(score) for of, name, score in rows if of == stats}
            print(
                f"{stats:<12}" + "  ".join(f"{scores[name]:<{len(name) + 7}.2f}" for name in names).rstrip()
            )
    return ended.exit_code
