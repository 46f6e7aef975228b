"""docs/paper_scale.md: each of its commands, at the smoke scale."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.photographs import save_photographs
from gnexp.cli import main as cli
from gnexp.compose.hardware import hardware_names

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.dist
# One cell, on two processes in the place of eight.
SMOKE = {"scale=paper": ["scale=smoke", "norm=gn", "batch=2"], "processes=8": ["processes=2"]}


def commands_of(heading):
    """The commands of one section, as lists of words behind `gnexp`."""
    text = (ROOT / "docs" / "paper_scale.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.sub(r"\\\n +", "", section).splitlines()
    words = [shlex.split(line) for line in lines if line.startswith("    gnexp ")]
    assert words
    return [line[1:] for line in words]


def at_smoke_scale(words, changes=()):
    """A command's words with others in their place; those of the data go, since this scale brings its own."""
    table = SMOKE | dict(changes)
    kept = [table.get(word, [word]) for word in words if not word.startswith("data.root=")]
    return [word for found in kept for word in found]


def sweep(folder, words):
    """Runs it in a process of its own and looks at what is there afterwards."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(
        [sys.executable, "-m", "gnexp", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(list(folder.glob("runs/*/result.json"))) == 1


def test_no_command_is_left_out():
    text = (ROOT / "docs" / "paper_scale.md").read_text(encoding="utf-8")
    headings = [*BEFORE, "One machine with eight GPUs", *LAUNCHERS]
    assert text.count("\n    gnexp ") == sum(len(commands_of(heading)) for heading in headings)


BEFORE = ("What it will take", "The data")


@pytest.mark.usefixtures("warm")
def test_the_plan_and_the_data(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    ((verb, *words),) = commands_of(BEFORE[0])
    assert {"hardware=h100x8"} <= set(words) and "h100x8" in hardware_names()
    assert cli.main([verb, *at_smoke_scale(words)]) == 0
    assert "1 modelled." in capfd.readouterr().out
    prepare, check = commands_of(BEFORE[1])
    # On archives it has tests of its own; here its words are right, and no archive is there.
    prepare = [
        word.replace("/downloads", str(tmp_path)).replace("/data/", f"{tmp_path}/") for word in prepare
    ]
    assert cli.main(prepare) == 2
    assert "ILSVRC2012" in capfd.readouterr().err
    save_photographs(tmp_path / "photographs", {"train": 2, "val": 2})
    changes = {"/data/imagenet": str(tmp_path / "photographs"), "data=imagenet": "data=imagefolder"}
    assert cli.main([changes.get(word, word) for word in check]) == 0


@pytest.mark.slow
def test_one_machine(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    doctor, training, status, watch, report = commands_of("One machine with eight GPUs")
    assert cli.main(doctor) in (0, 1)  # 1 where the test's machine lacks something
    sweep(tmp_path, at_smoke_scale(training))
    capfd.readouterr()
    assert cli.main(status) == 0
    assert "1 run: 1 done" in capfd.readouterr().out
    assert watch == [*status, "--watch"]  # which ends by Ctrl-C: tests/runs/test_standing.py
    assert cli.main(report) == 0
    assert (tmp_path / "results" / "tables" / "table2.md").is_file()


LAUNCHERS = {
    "On Slurm": (
        "hydra_submitit_launcher",
        {
            "hydra/launcher=submitit_slurm": ["hydra/launcher=submitit_local"],
            **{
                f"hydra.launcher.{k}": []
                for k in ("gpus_per_node=8", "cpus_per_task=64", "max_num_timeout=100")
            },
        },
    ),
    "On a Ray cluster": (
        "hydra_ray_launcher",
        {"+hydra.launcher.ray.remote.num_gpus=8": ["+hydra.launcher.ray.remote.num_cpus=1"]},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("heading", LAUNCHERS)
def test_a_clusters_launcher(tmp_path, heading):
    plugin, changes = LAUNCHERS[heading]
    pytest.importorskip(f"hydra_plugins.{plugin}")
    (words,) = commands_of(heading)
    assert changes.keys() <= set(words)  # else something else is left out than the page says
    sweep(tmp_path, at_smoke_scale(words, changes.items()))
