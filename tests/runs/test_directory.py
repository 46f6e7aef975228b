"""A run's directory: how it is found, and that its files' names stand in one module."""

import ast
import fnmatch
import re
from pathlib import Path

import pytest

from gnexp.config import RunConfig
from gnexp.runs.directory import RunDirectory, find_run_dir, named_run_dir, put_aside, run_dirs
from gnexp.runs.spec import write_spec

ROOT = Path(__file__).parents[2]
OWNER = ROOT / "gnexp" / "runs" / "directory.py"


def test_a_run_begun_under_another_label_goes_on_in_its_directory(tmp_path):
    run = RunConfig()
    (tmp_path / f"{run.run_id}-old-label").mkdir()
    assert find_run_dir(tmp_path, run).name == f"{run.run_id}-old-label"


def test_runs_are_named_by_path_id_or_its_start(tmp_path):
    dirs = [
        RunDirectory(write_spec(run, RunDirectory(tmp_path / f"{run.run_id}-x")).parent)
        for run in (RunConfig(), RunConfig(seed=1))
    ]
    assert named_run_dir(str(dirs[0]), Path("nowhere")) == dirs[0]
    assert named_run_dir(str(dirs[0].spec), Path("nowhere")) == dirs[0]
    with pytest.raises(ValueError, match="no run "):
        named_run_dir(str(dirs[0].result), tmp_path)  # it has written none yet
    assert named_run_dir(dirs[1].name[:12], tmp_path) == dirs[1]
    assert named_run_dir(dirs[1].name[:5], tmp_path) == dirs[1]
    with pytest.raises(ValueError, match="is the start of 2 runs"):
        named_run_dir("", tmp_path)
    wrong = dirs[0].name[:11] + "x"
    with pytest.raises(ValueError, match=rf"no run {wrong} .*2 runs there.*did you mean {dirs[0].name[:12]}"):
        named_run_dir(wrong, tmp_path)


def test_only_directories_of_a_runs_dir_are_runs(tmp_path):
    assert run_dirs(tmp_path / "nowhere") == []
    for name in ("b-x", "a-x"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    assert [directory.run_id for directory in run_dirs(tmp_path)] == ["a", "b"]


def owned_names() -> set[str]:
    """The names of a run's files and folders, and globs of those that come in several, from the class itself."""
    directory = RunDirectory(Path("run"))
    # Of a folder with any name, and of files that share a suffix with other modules' files.
    generic = {"images", "name", "run_id", "num_epochs", "all_detections", "all_checkpoints"}
    found = {
        getattr(directory, key).name
        for key, value in vars(RunDirectory).items()
        if isinstance(value, property) and key not in generic
    }
    checkpoint = re.sub("[0-9]+", "*", directory.checkpoint(1, 1).name)
    several = {directory.detections("*").name, directory.spec_of(1).name.replace("1", "*"), checkpoint}
    return found | several | {put_aside(Path("*")).name}


def spelled_in(source: str, names: set[str]) -> list[str]:
    """The strings of a module, docstrings aside, that are such a name, a path to it or a glob of it."""
    tree = ast.parse(source)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in docs]
    paths = [text for text in texts if isinstance(text, str) and " " not in text]
    return [
        path
        for path in paths
        if any(fnmatch.fnmatch(part, name) for part in path.split("/") for name in names)
    ]


def test_no_other_module_spells_the_name_of_a_runs_file():
    names = owned_names()
    assert {"spec.json", "result.json", "metrics.jsonl", "weights.pt", "checkpoints", "log.txt"} <= names
    for planted in (
        'open(d / "spec.json")',
        'd.glob("*/result.json")',
        'f"{d}/log.txt"',
        'd.glob("detections-*.json")',
        'd.glob("epoch*-step*.pt")',
        'path.with_name("epoch1.pt.damaged")',
    ):
        assert spelled_in(planted, names), planted
    paths = [
        p
        for folder in ("gnexp", "hydra_plugins", "scripts", "benchmarks")
        for p in (ROOT / folder).rglob("*.py")
    ]
    assert len(paths) > 150
    spelled = {
        str(path.relative_to(ROOT)): found
        for path in paths
        if path != OWNER and (found := spelled_in(path.read_text(encoding="utf-8"), names))
    }
    assert spelled == {}
