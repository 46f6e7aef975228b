"""Scores weights: `eval SPEC STATS IMAGES [init]`, one line `stats<TAB>name<TAB>score` each.

They are a finished run's final ones, or with `init` those that a run would start from.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gnexp.experiments.finished import evaluate_run, finished_state, initial_state, save_pictures
from gnexp.experiments.run import set_threads
from gnexp.nn.statistics import EVAL_STATS
from gnexp.runs.spec import load_spec
from gnexp.system.exit_codes import EXIT_DONE


def main(words: list[str]) -> int:
    """Prints the scores of one of EVAL_STATS or of all, and draws the first IMAGES images of val.

    Raises:
        ValueError: an unknown name, or a run without final weights.
    """
    path, eval_stats, num_images, *rest = words
    if eval_stats not in (*EVAL_STATS, "all"):
        raise ValueError(f"eval_stats must be one of {', '.join(EVAL_STATS)}, all; got {eval_stats}")
    spec = load_spec(Path(path))
    set_threads(spec.run)
    if rest == ["init"]:
        state, notes = initial_state(spec)
        for note in [*notes, *state.dataset.notes]:
            print(note, file=sys.stderr)
    else:
        state = finished_state(spec)
    chosen = list(EVAL_STATS) if eval_stats == "all" else [eval_stats]
    if int(num_images):
        save_pictures(state, int(num_images), chosen[0], spec.directory)
    found = evaluate_run(state, chosen, spec.directory)
    for stats, scores in found.items():
        for name, score in scores.items():
            print(f"{stats}\t{name}\t{score:.4f}")
    return EXIT_DONE
