"""gnexp eval: a finished run under other running statistics."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gnexp.cli.settings import settings_of
from gnexp.launch.launch import start_job
from gnexp.runs.directory import named_run_dir
from gnexp.system.exit_codes import EXIT_DONE


def main(words: list[str]) -> int:
    """Scores the final weights in a child; returns the exit code."""
    settings = settings_of("eval", words)
    run_dir = named_run_dir(settings["run"], Path(settings["runs_dir"]))
    arguments = ["eval", str(run_dir.spec), settings["eval_stats"], settings["save_images"]]
    ended = start_job(arguments, dict(os.environ), stdout=subprocess.PIPE)
    if ended.exit_code == EXIT_DONE:
        lines = [line.split("\t") for line in ended.out.decode(errors="replace").splitlines()]
        scores = {(stats, name): float(score) for stats, name, score in (x for x in lines if len(x) == 3)}
        print(run_dir.name)
        _print_scores(scores)
        if int(settings["save_images"]):
            print(f"images: {run_dir.images}")
        for path in run_dir.all_detections:
            print(f"results for COCO's own tools: {path}")
    return ended.exit_code


def _print_scores(scores: Mapping[tuple[str, str], float]) -> None:
    """A row for each of the statistics; where the scores are many, a row for each score."""
    every, names = (list(dict.fromkeys(key[i] for key in scores)) for i in (0, 1))
    if len(names) == 1:
        print(f"{'eval_stats':<12}val/{names[0]}, %")
        for stats in every:
            print(f"{stats:<12}{scores[stats, names[0]]:.2f}")
        return
    print(f"{'%':<20}" + "".join(f"{stats:>10}" for stats in every))
    for name in names:
        print(f"{'val/' + name:<20}" + "".join(f"{scores[stats, name]:>10.2f}" for stats in every))
