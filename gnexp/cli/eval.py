"""gnexp eval: a finished run under other running statistics, or a file of weights as it is."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gnexp.cli.settings import settings_of
from gnexp.cli.verbs import VERBS
from gnexp.launch.launch import start_job
from gnexp.runs.directory import RunDirectory, named_run_dir
from gnexp.runs.spec import write_spec
from gnexp.system.children import Ended
from gnexp.system.exit_codes import EXIT_DONE


def main(words: list[str]) -> int:
    """Scores weights in a child; returns the exit code."""
    if any(word.startswith("init=") for word in words):
        return _eval_file(words)
    settings = settings_of("eval", words)
    run_dir = named_run_dir(settings["run"], Path(settings["runs_dir"]))
    ended = _score(["eval", str(run_dir.spec), settings["eval_stats"], settings["save_images"]], run_dir.name)
    if ended.exit_code == EXIT_DONE:
        if int(settings["save_images"]):
            print(f"images: {run_dir.images}")
        for path in run_dir.all_detections:
            print(f"results for COCO's own tools: {path}")
    return ended.exit_code


def _eval_file(words: list[str]) -> int:
    """Scores the weights in a file on val, by the paper's protocol unless told otherwise.

    Raises:
        ValueError: a mistake in the words.
    """
    for word in words:
        key = word.partition("=")[0]
        if key in VERBS["eval"].own and key not in ("init", "runs_dir"):
            raise ValueError(f"{word} goes with run=: with init=FILE the weights are scored as they are")
    from gnexp.cli.weights import compose_for_file

    composed = compose_for_file(words)
    if isinstance(composed, int):
        return composed
    with tempfile.TemporaryDirectory(prefix="gnexp-eval-") as place:
        spec = write_spec(composed, RunDirectory(Path(place)))
        title = (
            f"{composed.init_path}: {composed.model.label}, {composed.norm.label}, data={composed.data.name}"
        )
        return _score(["eval", str(spec), "worker0", "0", "init"], title).exit_code


def _score(arguments: list[str], title: str) -> Ended:
    """Runs the job, and prints what it has found."""
    ended = start_job(arguments, dict(os.environ), stdout=subprocess.PIPE)
    if ended.exit_code == EXIT_DONE:
        lines = [line.split("\t") for line in ended.out.decode(errors="replace").splitlines()]
        scores = {(stats, name): float(score) for stats, name, score in (x for x in lines if len(x) == 3)}
        print(title)
        _print_scores(scores)
    return ended


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
