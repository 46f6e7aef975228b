"""What a sweep plans, what others start from and what that blocks, and the time it has left."""

import dataclasses
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from gnexp.cli import main as cli
from gnexp.compose import composer as compose
from gnexp.compose import overrides
from gnexp.sweep import progress as progress_of
from gnexp.sweep.plan import make_plan
from tests.grids import thin
from tests.sweep.sweeps import in_a_folder, order_of_runs, run_sweep

__all__ = ["in_a_folder"]  # a fixture of every test here


def test_two_cells_that_are_one_run_are_planned_once(tmp_path):
    expansion = compose.expand("null", "smoke", ["norm=ln,gn", "norm.num_groups=1"])
    assert len(expansion.seed_major) == 2
    assert len(make_plan([expansion], tmp_path, tmp_path)) == 1


def test_time_left_uses_what_a_cells_other_seeds_took(tmp_path):
    expansion = compose.expand("batch_size", "smoke", ["norm=gn", "batch=2,4"], seeds=3)
    plan = make_plan([expansion], tmp_path, tmp_path)
    plan = [
        dataclasses.replace(item, done_in=Path("x"), seconds=60.0 * item.run.batch) for item in plan[:2]
    ] + plan[2:]
    progress = progress_of.Progress(plan, side_by_side=2)
    # Two seeds of each cell are left: 2 * (120 + 240) s over two at a time.
    assert progress._left() == ", about 6 min left"


def test_time_left_is_unknown_before_anything_moved(tmp_path):
    plan = make_plan([compose.expand("batch_size", "smoke")], tmp_path, tmp_path)
    assert progress_of.Progress(plan, side_by_side=2)._left() == ""


def test_runs_that_others_start_from_are_made_first(capfd):
    words = ("experiment=null", "norm=bn,gn", "batch=2", "init='cell: batch=4'", "seeds=2")
    assert run_sweep(*words, "dry_run=true") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == "8 runs: 0 done, 8 to do"
    assert all("batch=4" in line for line in lines[:4]) and all("batch=2" in line for line in lines[4:8])
    assert run_sweep(*words) == 0
    order = [name.split("-", 3)[3] for name in order_of_runs()]
    assert sorted(order[:4]) == [f"{norm}-batch4-seed{seed}" for norm in ("bn", "gn8") for seed in (0, 1)]
    for spec in Path("runs").glob("*batch2-seed1/spec.json"):
        config = json.loads(spec.read_text(encoding="utf-8"))["config"]
        (parent,) = Path("runs").glob(f"*{spec.parent.name.split('-')[3]}-batch4-seed1")
        assert config["init"] == parent.name.split("-")[0]
        assert config["init_path"] == str(parent.resolve() / "weights.pt")
    capfd.readouterr()
    assert run_sweep(*words) == 0
    assert capfd.readouterr().out == "4 runs: 4 done, 0 to do\n"  # nobody is left who needs a parent


@pytest.mark.parametrize(
    ("what", "fate"), thin([("diverge bn-batch4", "diverged"), ("fail bn-batch4", "has failed")])
)
def test_a_run_whose_parent_left_no_weights_is_blocked(capfd, monkeypatch, what, fate):
    monkeypatch.setenv("FAKE_TRAINER", what)
    assert run_sweep("experiment=null", "norm=bn,gn", "batch=2", "init='cell: batch=4'") == 1
    shown = capfd.readouterr().err
    assert f"  bn seed=0: blocked: bn batch=4 seed=0, which it starts from, {fate}\n" in shown
    is_hopeless = fate == "diverged"  # then there is nothing to run again, and no log
    assert ("1 of 4 runs cannot start, since what they start from diverged" in shown) == is_hopeless
    assert ("2 of 4 runs failed; the same command runs them again" in shown) != is_hopeless
    assert ("log.txt" in shown) != is_hopeless
    assert len(list(Path("runs").glob("*gn8*/result.json"))) == 2
    assert not list(Path("runs").glob("*bn-batch2*/seen.jsonl"))


@pytest.mark.parametrize("is_recorded", thin([True, False]))
def test_a_diverged_parent_is_not_made_again_and_its_children_show_as_blocked(
    capfd, monkeypatch, is_recorded
):
    monkeypatch.setenv("FAKE_TRAINER", "diverge bn-batch4")
    assert run_sweep("experiment=null", "norm=bn", "batch=4") == 0
    ((parent, name),) = [(path, path.parent.name) for path in Path("runs").glob("*/result.json")]
    if is_recorded:  # on another machine: nothing of it is here
        Path("kept/runs").mkdir(parents=True)
        shutil.move(parent, f"kept/runs/{name[:12]}.json")
        shutil.rmtree("runs")
    words = ["experiment=null", "norm=bn,gn", "batch=2", "init='cell: batch=4'", "results_dir=kept"]
    capfd.readouterr()
    assert run_sweep(*words, "dry_run=true") == 0
    lines = [re.split("  +", line) for line in capfd.readouterr().out.splitlines()]
    states = {name: (state, where) for state, name, _, where in lines[:-1]}
    assert states["bn batch=4 seed=0"][0] == "done"
    assert states["bn seed=0"] == ("blocked", "starts from bn batch=4 seed=0, which diverged")
    assert states["gn batch=4 seed=0"][0] == states["gn seed=0"][0] == "to do"
    assert lines[-1] == ["4 runs: 1 done, 2 to do, 1 blocked"]
    before = sorted(Path("runs").glob("*bn*/seen.jsonl"))
    assert run_sweep(*words) == 1
    shown = capfd.readouterr()
    assert "bn seed=0: blocked: bn batch=4 seed=0, which it starts from, diverged\n" in shown.err
    assert "[2/2] gn seed=0: " in shown.out  # what is blocked is not waited for
    assert sorted(Path("runs").glob("*bn*/seen.jsonl")) == before and not list(
        Path("runs").glob("*bn-batch2*")
    )
    if not is_recorded:
        assert len(before[0].read_text(encoding="utf-8").splitlines()) == 1


def test_train_names_the_run_that_is_missing(capfd):
    words = ["train", "scale=smoke", "norm=bn", "batch=2", "init='cell: batch=4'"]
    assert cli.main(words) == 2
    assert (
        "starts from fashion_scenes-thin_resnet-bn-batch4-seed0, which has no final weights in runs; "
        "first gnexp train scale=smoke norm=bn batch=4, or let gnexp sweep do both" in capfd.readouterr().err
    )
    # A scale that nobody has chosen is named as well: the command means the same wherever the default moves.
    assert cli.main([word for word in words if word != "scale=smoke"]) == 2
    assert "first gnexp train scale=demo norm=bn batch=4, or let" in capfd.readouterr().err
    assert cli.main([*words, "runs_dir='my runs (2)'"]) == 2
    command = capfd.readouterr().err.split("first ")[1].split(", or let")[0]
    overrides.parse(shlex.split(command)[2:])  # as it is pasted
    assert cli.main(["train", "scale=smoke", "norm=bn", "batch=4"]) == 0
    assert cli.main(words) == 0
    assert cli.main(["train", "scale=smoke", "init='cell: bach=4'"]) == 2
    assert "init=cell: bach=4: unknown key bach; did you mean batch?" in capfd.readouterr().err
