"""A package of one's own adds a norm: the one of docs/adding.md, installed and used as a person would."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gnexp.cli import main as cli
from gnexp.config import NormConfig
from gnexp.contracts import declaring
from gnexp.contracts.test_norms import CHECKS
from tests.example_package import write_installed, write_metadata, write_sources
from tests.warm import without_digest_notes

TINY = [
    *("scale=smoke", "batch=4", "data.num_train=16", "data.num_val=8", "recipe.epochs=1", "threads=1"),
    "device=cpu",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_installed(tmp_path_factory.mktemp("installed"))


def python(*words: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": "" if path is None else str(path)}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_it_is_where_gnexps_own_norms_are(site: Path, tmp_path: Path) -> None:
    code = """if True:
        import contextlib, io, sys
        from gnexp.cli.main import main
        def gnexp(*words):
            with contextlib.redirect_stdout(io.StringIO()) as said:
                assert main(words) == 0, words
            return said.getvalue()
        assert "  norm=l1                  L1 normalization, of package my-norms 0.1\\n" in gnexp("train", "--help")
        norms = "bn brn evonorm_s0 frn frozen_bn gn gn_ws grms in l1 ln ln2d none"
        assert f'norm") echo "{norms}' in gnexp("completion")
        config = gnexp("train", "norm=l1", "--cfg", "job")
        assert "norm:\\n  kind: l1\\n  eps: 1.0e-05  # the paper does not state it\\n" in config
        swept = gnexp("sweep", "experiment=norms", "norm=gn,l1", "dry_run=true", "scale=smoke")
        assert "experiment=norms scale=smoke norm=l1 seed=0\\n" in swept and "2 runs: 0 done, 2 to do" in swept
        from gnexp.compose.composer import Composer, to_run
        from gnexp.report.exhibits.axes import norm_title
        own, users = Composer(), Composer(["."])  # of a person's own directory Hydra composes the whole
        words = ["norm=l1", "norm.eps=1e-3"]
        assert own.run(words) == users.run(words) == to_run(own.load(words)), "parts and whole differ"
        assert own.run(["norm=l1"]).run_id == own.run(["norm=gn", "norm.kind=l1"]).run_id != own.run(words).run_id
        words = ["data=fashion_coco", "norm=gn", "norm.eps=1e-3", "model.fpn_norm=l1"]
        site = own.run(own.flatten(words)).model.fpn_norm
        assert (site.kind, site.eps, norm_title("l1")) == ("l1", 1e-3, "L1")
        assert "torch" not in sys.modules
    """
    done = python("-c", code, cwd=tmp_path, path=site)
    assert (done.returncode, done.stdout, without_digest_notes(done.stderr)) == (0, "", "")


# Invented results of L1 at 2 images per worker, of as many seeds as its first argument says; then a command.
REPORT = """
import sys
from pathlib import Path
from gnexp.compose.composer import expand
from gnexp.config import science
from gnexp.runs.result import Result
env = {"commit": "0123456789abcdef", "dirty": False, "python": "3.11", "torch": "2.9", "processor": "invented"}
cell = expand("modern", "demo", ["norm=l1", "batch=2"]).cells[0]
for run in cell.runs[: int(sys.argv[1])]:
    path = Path("runs") / f"{run.run_id}-{run.label}" / "result.json"
    path.parent.mkdir(parents=True)
    Result(
        run_id=run.run_id, label=run.label, scale="demo", status="finished", science=science(run),
        metrics={"val/top1_error": 17.0 + run.seed}, series=[], num_parameters=1, data_fingerprint="0",
        env=[env], seconds=1.0,
    ).save(path)
from gnexp.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def report_of(seeds: int, *words: str, folder: Path, site: Path) -> str:
    """What a report says of that many runs."""
    done = python("-c", REPORT, str(seeds), "report", *words, "results_dir=mine", cwd=folder, path=site)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_runs_have_a_row_in_the_exhibits_of_experiments_that_compare_norms(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exhibits = "exhibit=modern_demo,modern"
    assert "3 new result(s)" in report_of(3, exhibits, folder=tmp_path, site=site)
    table = (tmp_path / "mine/tables/modern_demo.md").read_text(encoding="utf-8")
    (row,) = (line for line in table.splitlines() if line.startswith("| L1, ours") and "n=3" in line)
    assert "18.0" in row
    assert "gnexp sweep experiment=modern scale=demo" in table and "norm=l1" not in table  # it lacks no run
    assert "L1" not in (tmp_path / "mine/tables/modern.md").read_text(
        encoding="utf-8"
    )  # of which none has run
    monkeypatch.chdir(tmp_path)  # here, where the package is not installed
    assert cli.main(["report", exhibits, "results_dir=mine"]) == 0
    assert "L1" not in (tmp_path / "mine/tables/modern_demo.md").read_text(encoding="utf-8")


def test_the_command_for_its_missing_runs_names_it(site: Path, tmp_path: Path) -> None:
    report_of(1, "exhibit=modern_demo", folder=tmp_path, site=site)
    table = (tmp_path / "mine/tables/modern_demo.md").read_text(encoding="utf-8")
    missing = table.partition("Missing: ")[2].split("\n\n")[1]
    commands = [shlex.split(line) for line in missing.splitlines()]
    own = ["gnexp", "sweep", "experiment=modern", "scale=demo", "results_dir=mine"]
    assert commands == [own, [*own[:-1], "norm=l1", own[-1]]]
    planned = python("-m", *commands[1], "dry_run=true", cwd=tmp_path, path=site).stdout
    lines = [line.split()[:2] for line in planned.splitlines() if " l1 batch=2 " in line]
    assert sorted(lines) == [["done", "l1"], ["to", "do"], ["to", "do"]]


@pytest.mark.usefixtures("warm")  # for what is run here
def test_it_trains_and_its_result_names_the_package(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    done = python("-m", "gnexp", "train", "norm=l1", *TINY, cwd=tmp_path, path=site)
    assert (done.returncode, without_digest_notes(done.stderr)) == (0, ""), done.stdout + done.stderr
    told = done.stdout
    assert "norm l1 is of package my-norms 0.1\n" in told and "finished" in told
    (run,) = (tmp_path / "runs").iterdir()
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert [segment["norm_packages"] for segment in result["env"]] == [{"l1": "my-norms 0.1"}]
    assert result["science"]["norm"] == {"kind": "l1", "eps": 1e-5}
    # Where the package is not installed: its result is read, its weights are not.
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", "exhibit=table1"]) == 0
    assert "note: 1 finished run in runs of none of these exhibits" in capfd.readouterr().err
    assert cli.main(["eval", f"run={run.name[:12]}"]) == 2
    told = capfd.readouterr().err
    assert "has norm l1 of package my-norms 0.1, which is not installed here; pip install it" in told
    assert told.count("\n") == 1


def test_a_broken_package_stops_its_own_norm_alone(tmp_path: Path) -> None:
    write_metadata(tmp_path, "broken", {"zz": "not_there:Config", "gn": "not_there:Config"})
    zz = "norm 'zz' of package broken 1 cannot be used: not_there:Config does not import (ModuleNotFoundError: "
    gn = "gnexp: note: norm 'gn' of package broken 1 is not used: gnexp has a norm of this name; "
    for norm, code, lines in (("gn", 0, [gn, f"gnexp: note: {zz}"]), ("zz", 2, [gn, f"gnexp: error: {zz}"])):
        done = python("-m", "gnexp", "train", f"norm={norm}", "--cfg", "job", cwd=tmp_path, path=tmp_path)
        assert done.returncode == code
        told = done.stderr.splitlines()
        assert len(told) == 2 and all(map(str.startswith, told, lines)), done.stderr


def test_its_contracts_hold(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)
    for name in ("my_norms", "my_norms.layers"):
        monkeypatch.setitem(sys.modules, name, importlib.import_module(name))  # and away with it at the end
        monkeypatch.delitem(sys.modules, name)
    config: NormConfig = importlib.import_module("my_norms").L1Config()
    for check in CHECKS:
        if check is not declaring.is_a_runs_identity:  # which reads it from a spec: here it is not installed
            check(config)


@pytest.mark.slow
def test_pip_installs_it_and_the_contracts_run_on_it(tmp_path: Path) -> None:
    """As the page says, with pytest's own words, outside of this repository."""
    project, site = write_sources(tmp_path), tmp_path / "site"
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    done = python("-m", "pip", "install", *flags, "--target", str(site), str(project), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    words = [
        "--pyargs",
        "gnexp.contracts",
        "-k",
        "l1 or package or torch or choice",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    done = python("-m", "pytest", *words, cwd=tmp_path, path=site)
    assert done.returncode == 0 and f"{len(CHECKS) + 3} passed" in done.stdout, done.stdout + done.stderr
