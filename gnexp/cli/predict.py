"""gnexp predict: what a network says of somebody's images."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from gnexp.cli.settings import settings_of
from gnexp.cli.verbs import VERBS
from gnexp.launch.launch import start_job
from gnexp.runs.directory import RunDirectory, named_run_dir
from gnexp.runs.spec import write_spec


def main(words: list[str]) -> int:
    """Predicts in a child; returns the exit code: 1 if some image could not be read.

    Raises:
        ValueError: a mistake in the words.
    """
    own, others, images = _sort(words)
    settings = settings_of("predict", own)
    if bool(settings["run"]) == bool(settings["init"]):
        raise ValueError(
            "whose network? gnexp predict run=RUN_ID IMAGES..., or init=FILE for published weights"
        )
    if not images:
        raise ValueError("which images? gnexp predict run=RUN_ID IMAGE... takes files, folders and patterns")
    job: dict[str, object] = {key: settings[key] for key in ("eval_stats", "output")}
    job |= {"top": int(settings["top"]), "images": images, "is_file": bool(settings["init"])}
    if settings["run"]:
        if others:
            settings_of("predict", others)  # says what is unknown
        run_dir = named_run_dir(settings["run"], Path(settings["runs_dir"]))
        return _start(job | {"spec": str(run_dir.spec)})
    from gnexp.cli.weights import compose_for_file

    given = [word for word in own if word.partition("=")[0] == "init"]
    composed = compose_for_file([*given, *others])
    if isinstance(composed, int):
        return composed
    with tempfile.TemporaryDirectory(prefix="gnexp-predict-") as place:
        return _start(job | {"spec": str(write_spec(composed, RunDirectory(Path(place))))})


def _start(job: dict[str, object]) -> int:
    return start_job(["predict", json.dumps(job)], dict(os.environ)).exit_code


def _sort(words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """The verb's own settings, other key=value words, and images: what exists is an image, whatever is in its name."""
    keys = VERBS["predict"].own
    own, others, images = [], [], []
    for word in words:
        key, equals, _ = word.partition("=")
        if equals and key in keys:
            own.append(word)
        elif equals and not os.path.exists(word):
            others.append(word)
        else:
            images.append(word)
    return own, others, images
