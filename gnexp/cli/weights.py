"""The run that a file of weights is used as: what it holds chooses model and norm where nobody names them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gnexp.compose.composer import Composer
from gnexp.compose.overrides import check, parse, values_of
from gnexp.config import RunConfig
from gnexp.config.spelling import spell
from gnexp.launch.launch import start_job
from gnexp.system.exit_codes import EXIT_DONE


def compose_for_file(words: Sequence[str]) -> RunConfig | int:
    """The run of some overrides with init=FILE, at the paper's scale unless told otherwise.

    Returns:
        The run; or the exit code of the child that could not read the file, and has said so.

    Raises:
        ValueError: a mistake in the words, or no such file.
    """
    composer = Composer()
    check(words, composer.options, sweep=False)
    given = {override.key_or_group: values_of(override)[0] for override in parse(words)}
    choices = [] if "scale" in given else ["scale=paper"]
    path = Path(str(given["init"])).expanduser()
    if path.is_file() and not {"model", "norm", "experiment"} & set(given):
        found = _identify(path)
        if isinstance(found, int):
            return found
        choices += [f"{key}={value}" for key, value in found.items()]
    if path.is_file():
        words = [*(word for word in words if not word.startswith("init=")), f"init={spell(str(path))}"]
    composer.check_fit([*choices, *words])
    run = composer.run(composer.flatten([*choices, *words]))
    run.model.check_installed()
    if run.init is None:
        raise ValueError("init=null has no weights; give init=FILE")
    return run


def _identify(path: Path) -> dict[str, str] | int:
    """The model and norm whose weights a file holds, read in a child; or that child's exit code."""
    ended = start_job(["weights", str(path)], dict(os.environ), stdout=subprocess.PIPE)
    if ended.exit_code != EXIT_DONE:
        return ended.exit_code
    lines = [line.split("\t") for line in ended.out.decode(errors="replace").splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}
