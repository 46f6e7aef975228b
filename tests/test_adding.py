"""docs/adding.md is true: its norm and its model train when each of its files and lines is put where it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w+\n# (the line in )?(\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PACKAGE = "my-norms/"  # tests/test_package.py installs it
NEW = {path: content for is_line, path, content in BLOCKS if not is_line and not path.startswith(PACKAGE)}
LINES = {path: line for is_line, path, line in BLOCKS if is_line}


def test_each_kind_is_one_line_of_a_dict_and_files_that_are_not_there() -> None:
    assert set(LINES) == {f"gnexp/{room}/kinds/__init__.py" for room in ("nn", "models")}
    assert all(len(line.splitlines()) == 1 for line in LINES.values())
    code = [path for path in NEW if path.endswith(".py")]
    assert len(code) == 5 and not any((ROOT / path).exists() for path in code)


@pytest.mark.slow
def test_what_it_adds_trains(tmp_path: Path) -> None:
    """A child with torch and its trainer: 10 seconds."""
    for folder in ("gnexp", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path, content in NEW.items():
        (tmp_path / path).write_text(content, encoding="utf-8")
    for path, line in LINES.items():
        text = (tmp_path / path).read_text(encoding="utf-8")
        (tmp_path / path).write_text(text.replace("\n}", f"\n{line}}}"), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    tiny = "scale=smoke batch=4 data.num_train=16 data.num_val=8 recipe.epochs=1 threads=1 device=cpu"
    told = run("-m", "gnexp", "train", "norm=rms", "model=thin_plain", *tiny.split())
    assert "fashion_scenes-thin_plain-rms-batch4-seed0" in told and "finished" in told
    run("-c", "from gnexp.report.kinds.spread_table import SPREAD_TABLE")
