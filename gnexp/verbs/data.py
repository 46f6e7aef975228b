"""gnexp data check: whether every image of a folder can be read, before days of training find out."""

from __future__ import annotations

import json
import os

from gnexp.keys import check_choice, group_options
from gnexp.launch import num_cores, start_worker
from gnexp.verbs.settings import settings_of


def main(words: list[str]) -> int:
    """Checks a folder in a child; returns the exit code: 1 if anything is bad."""
    if not words or words[0] != "check":
        raise ValueError(f"gnexp data check ROOT is all there is, got {' '.join(['gnexp data', *words[:1]])}")
    rest = words[1:]
    if rest and "=" not in rest[0]:
        rest = [f"data.root={rest[0]}", *rest[1:]]
    settings = settings_of(rest, {"data.root": "", "data": "", "processes": str(num_cores())})
    if not settings["data.root"]:
        raise ValueError("which folder? gnexp data check ROOT, the one that holds train/ and val/")
    if not settings["processes"].isdigit():
        raise ValueError(
            f"processes must be a number, 0 for none beside this one, got {settings['processes']}"
        )
    job = {"root": settings["data.root"], "processes": int(settings["processes"])}
    if settings["data"]:
        job |= _expected(settings["data"])
    return start_worker(["check_data", json.dumps(job)], dict(os.environ)).exit_code


def _expected(option: str) -> dict[str, int | str | None]:
    """What conf/data/<option>.yaml says of the folder."""
    from gnexp.compose import Composer

    check_choice("data", option, group_options("data"))
    config = Composer().run([f"data={option}"]).data
    if config.kind != "imagefolder" or config.expected_train is None:
        raise ValueError(f"data={option} says nothing of a folder's images; leave it out")
    return {
        "name": config.name,
        "num_classes": config.num_classes,
        "expected_train": config.expected_train,
        "expected_val": config.expected_val,
    }
