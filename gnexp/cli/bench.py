"""gnexp bench: the benchmarks of gnexp's repository."""

from __future__ import annotations

import os
import subprocess
import sys

from gnexp.config.keys import benchmark_names, benchmarks_dir, check_choice
from gnexp.system.children import environment_of


def main(words: list[str]) -> int:
    """Runs one with its own options; returns its exit code."""
    directory, names = benchmarks_dir(), benchmark_names()
    if not names:
        raise ValueError(
            f"there is no {directory}: the benchmarks come with gnexp's repository, not its package"
        )
    if not words:
        raise ValueError(f"which benchmark? gnexp bench NAME, one of {', '.join(names)}")
    check_choice("benchmark", words[0], names)
    script = directory / f"bench_{words[0]}.py"
    # Beside the script lie modules of its own, where Python looks no longer by itself.
    path = os.pathsep.join(filter(None, (str(directory), os.environ.get("PYTHONPATH"))))
    env = environment_of({**os.environ, "PYTHONPATH": path})
    return subprocess.run([sys.executable, str(script), *words[1:]], env=env).returncode
