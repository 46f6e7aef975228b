"""gnexp data check: whether every file of a data set can be read, before days of training find out."""

from __future__ import annotations

import json
import os
from typing import Any

from gnexp.cli.settings import settings_of
from gnexp.cli.verbs import VERBS
from gnexp.config.keys import check_choice, group_options
from gnexp.config.spelling import spell
from gnexp.launch.launch import start_job
from gnexp.system.hardware import num_cores


def main(words: list[str]) -> int:
    """Checks a folder in a child; returns the exit code: 1 if anything is bad."""
    if not words or words[0] != "check":
        raise ValueError(f"gnexp data check ROOT is all there is, got {' '.join(['gnexp data', *words[:1]])}")
    rest = words[1:]
    keys = VERBS["data"].own
    if rest and rest[0].partition("=")[0] not in keys and ("=" not in rest[0] or "/" in rest[0]):
        rest = [f"data.root={spell(rest[0])}", *rest[1:]]  # a path as the shell has it, with an "=" perhaps
    settings = settings_of("data", rest)
    processes = int(settings["processes"] or num_cores())
    job = {"root": settings["data.root"], "processes": processes, **_expected(settings)}
    return start_job(["check_data", json.dumps(job)], dict(os.environ)).exit_code


def _expected(settings: dict[str, str]) -> dict[str, Any]:
    """The kind of the data set that was named, photographs in class folders unless told, and the counts that it has.

    Those of conf/data/<option>.yaml hold for the data set of its own name alone.
    """
    from gnexp.compose.composer import Composer

    option = settings["data"] or "imagefolder"
    check_choice("data", option, group_options("data"))
    own = {key: settings[key] for key in ("data.name", "data.num_classes") if settings[key]}
    config = Composer().run([f"data={option}", *(f"{key}={spell(value)}" for key, value in own.items())]).data
    is_known = config.expected["train"] is not None
    return {
        "data": option,
        "kind": config.kind,
        "name": config.name,
        "expected": {
            "num_classes": config.num_classes if is_known or "data.num_classes" in own else None,
            "expected_train": config.expected["train"],
            "expected_val": config.expected["val"],
        },
    }
