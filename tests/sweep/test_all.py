"""experiment=all: every experiment as one sweep."""

import re
from pathlib import Path

import pytest

from gnexp.cli import main as cli
from gnexp.compose import composer as compose
from gnexp.config.keys import group_options
from gnexp.sweep.plan import describe, make_plan
from tests.sweep.sweeps import in_a_folder, results_of, run_sweep

__all__ = ["in_a_folder"]  # a fixture of every test here


@pytest.fixture(scope="module")
def composer():
    return compose.Composer()


def test_all_experiments_are_one_sweep_each_run_once(capfd, composer):
    expansions = composer.expansions("all", "smoke")
    names = [expansion.experiment for expansion in expansions]
    assert names == group_options("experiment")
    runs = {run.run_id: run for e in expansions for cell in e.cells for run in cell.runs}
    assert len(runs) < sum(len(e.seed_major) for e in expansions)  # some are several experiments'
    by_name = {e.experiment: {run.run_id for _, run in e.seed_major} for e in expansions}
    shared = next(iter(by_name["batch_size"] & by_name["eval_stats"]))
    own = next(iter(by_name["vgg"]))
    results_of(expansions, left_out=(shared, own))
    words = ["experiment=all", "results_dir=kept", "threads=1"]
    assert run_sweep(*words, "dry_run=true") == 0
    *blocks, total = capfd.readouterr().out.rstrip("\n").split("\n\n")
    assert total == f"{len(runs)} runs: {len(runs) - 2} done, 2 to do"
    assert [block.partition(":")[0] for block in blocks] == names
    listed = [line.split("  ") for block in blocks for line in block.splitlines()[1:]]
    assert len(listed) == len(runs)
    (block,) = [block for block in blocks if block.startswith("eval_stats: ")]
    assert re.match(r"eval_stats: (\d+) runs: \d+ done, 1 to do, \1 of them listed before$", block)
    todo = [line for line in "\n".join(blocks).splitlines() if line.startswith("to do")]
    assert [line.split("gnexp train ")[1].split()[0] for line in todo if own in line] == ["experiment=vgg"]
    assert all("threads=1" in line for line in todo) and len(todo) == 2

    assert run_sweep(*words) == 0
    shown = capfd.readouterr().out
    assert sorted(path.parent.name[:12] for path in Path("runs").glob("*/result.json")) == sorted(
        [shared, own]
    )
    assert re.search(r"^\[\d/2\] vgg: .* seed=0: 18.0 % error", shown, re.MULTILINE)


def test_of_all_experiments_what_others_start_from_is_made_as_its_own_experiment_makes_it(composer, tmp_path):
    """At the paper's scale: detectors start from batch_size's runs, which need the data's place."""
    words = ["data.root=/data/both", "device=cpu"]
    expansions = composer.expansions("all", "paper", words)
    plan = make_plan(expansions, tmp_path / "runs", tmp_path / "results")
    assert len({item.run.run_id for item in plan}) == len(plan)
    starts = {item.parent.run.run_id for item in plan if item.parent is not None}
    first = plan[: len(starts)]
    assert {item.run.run_id for item in first} == starts and len(starts) == 4  # bn, gn; ResNet-50, ResNet-101
    assert all(item.parent is None and {*words} <= {*item.cell.overrides} for item in first)
    assert {item.run.data.root for item in plan} == {"/data/both"}
    assert "what some of them start from" not in describe(plan, expansions)


def test_what_no_experiment_has_is_listed_by_itself(tmp_path):
    words = ["norm=bn,gn", "batch=2", "init='cell: batch=4'"]
    expansions = [compose.expand("null", "smoke", words), compose.expand("batch_size", "smoke", ["norm=gn"])]
    plan = make_plan(expansions, tmp_path, tmp_path)
    blocks = describe(plan, expansions).split("\n\n")
    assert blocks[0].startswith("what some of them start from: 1 run: 0 done, 1 to do\nto do  bn ")
    assert blocks[-1] == "5 runs: 0 done, 5 to do"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["norm=gn"], "experiment=all takes every experiment as it is, so norm=gn cannot be given"),
        (["batch=2,4"], "so batch=2,4 cannot be given"),
        (["recipe.epochs=1"], "so recipe.epochs=1 cannot be given"),
        (["device=cpu,cuda"], "so device=cpu,cuda cannot be given"),
        (["seeds=0"], "batch_renorm: seeds must be at least 1"),
    ],
)
def test_what_would_change_the_questions_is_refused(capfd, words, said):
    assert run_sweep("experiment=all", "dry_run=true", *words) == 2
    shown = capfd.readouterr().err
    assert said in shown and shown.count("\n") == 1


def test_train_makes_one_run_and_not_all(capfd):
    assert cli.main(["train", "experiment=all"]) == 2
    assert "experiment=all is for `gnexp sweep` and `gnexp plan`" in capfd.readouterr().err
