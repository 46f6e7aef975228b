"""gnexp data: whether every file of a data set can be read, and its folders from the archives as they are published."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gnexp.cli.settings import settings_of
from gnexp.cli.verbs import VERBS
from gnexp.config.keys import check_choice, group_options
from gnexp.config.kinds import classes_of, import_text
from gnexp.config.spelling import spell
from gnexp.launch.launch import start_job
from gnexp.system.exit_codes import EXIT_DONE
from gnexp.system.hardware import num_cores

_OF_PREPARE = ("from", "to", "md5")


def main(words: list[str]) -> int:
    """Checks a folder in a child, or unpacks; returns the exit code: 1 if anything is bad."""
    if words[:1] == ["check"]:
        return _check(words[1:])
    if words[:1] == ["prepare"]:
        return _prepare(words[1:])
    got = " ".join(["gnexp data", *words[:1]])
    raise ValueError(
        f"gnexp data check ROOT, and gnexp data prepare NAME from=FOLDER to=FOLDER, are all there is, got {got}"
    )


def _check(words: list[str]) -> int:
    keys = VERBS["data"].own.keys() - {*_OF_PREPARE}
    if words and words[0].partition("=")[0] not in keys and ("=" not in words[0] or "/" in words[0]):
        words = [
            f"data.root={spell(words[0])}",
            *words[1:],
        ]  # a path as the shell has it, with an "=" perhaps
    settings = settings_of("data", words, keys)
    processes = int(settings["processes"] or num_cores())
    job = {"root": settings["data.root"], "processes": processes, **_expected(settings)}
    return start_job(["check_data", json.dumps(job)], dict(os.environ)).exit_code


def _prepare(words: list[str]) -> int:
    """Unpacks here: it needs no torch."""
    from gnexp.data.prepare.unpack import unpack

    plans = {name: text for cls in classes_of("data").values() for name, text in cls.archives.items()}
    if not words or "=" in words[0]:
        raise ValueError(
            f"which data set? gnexp data prepare NAME from=FOLDER to=FOLDER, of {', '.join(plans)}"
        )
    check_choice("data set", words[0], list(plans))
    # FROM= and TO= as well: a key in capitals is what help has for words to be put there.
    lowered = [
        f"{key.lower()}{equals}{value}" for key, equals, value in (word.partition("=") for word in words[1:])
    ]
    settings = settings_of("data", lowered, _OF_PREPARE)
    source, root = (Path(settings[key]).absolute() for key in ("from", "to"))
    for key, folder in (("from", source), ("to", root)):
        if not folder.is_dir() and (key == "from" or folder.exists()):
            raise ValueError(
                f"{key}= must be a folder, got {folder}, which {'is none' if folder.exists() else 'is not there'}"
            )
    unpack(import_text(plans[words[0]])(source), words[0], root, checks_md5=settings["md5"] == "true")
    return EXIT_DONE


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
