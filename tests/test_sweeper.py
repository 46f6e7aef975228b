"""`gnexp sweep` through the basic launcher in this process, with a fake worker; what a plan and progress say."""

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gnexp import cli, compose, launch, overrides
from gnexp.config import RunConfig, science
from gnexp.experiments.result import Result
from gnexp.keys import group_options
from gnexp.sweep import progress as progress_of
from gnexp.sweep import run as run_of
from gnexp.sweep.plan import describe, make_plan
from hydra_plugins.gnexp_sweeper.sweeper import GnexpSweeper

FAKE = str(Path(__file__).with_name("fake_worker.py"))


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "WORKER", (sys.executable, FAKE))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # set by the cli; restored after each test
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run_sweep(*words):
    return cli.main(["sweep", "scale=smoke", "hydra/launcher=basic", *words])


def order_of_runs():
    lines = [
        (json.loads(line), path.parent.name)
        for path in Path("runs").glob("*/seen.jsonl")
        for line in path.read_text().splitlines()
    ]
    return [name for _, name in sorted(lines, key=lambda pair: pair[0]["time"])]


def test_a_sweep_runs_everything_seed_major_and_again_nothing(capfd):
    assert run_sweep("seeds=2", "batch=4") == 0
    assert [name.split("-", 3)[3] for name in order_of_runs()] == [
        "bn-batch4-seed0",
        "gn8-batch4-seed0",
        "bn-batch4-seed1",
        "gn8-batch4-seed1",
    ]
    shown = capfd.readouterr()
    assert shown.out.startswith("4 runs: 0 done, 4 to do\n")
    assert "[4/4] gn batch=4 seed=1: 18.0 % error in 2 s\n" in shown.out
    assert "hello" not in shown.out + shown.err  # the children keep off the terminal
    assert sorted(path.name for path in Path().iterdir()) == ["runs"]  # no outputs/, no multirun/, no .hydra

    assert run_sweep("seeds=2", "batch=4") == 0
    assert capfd.readouterr().out == "4 runs: 4 done, 0 to do\n"
    assert len(order_of_runs()) == 4


def test_dry_run_prints_the_plan_and_does_nothing(capsys):
    assert run_sweep("dry_run=true", "batch=2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("to do  bn batch=2 seed=0  ")
    assert lines[0].endswith("gnexp train scale=smoke norm=bn batch=2 seed=0")
    assert lines[2] == "2 runs: 0 done, 2 to do"
    assert not Path("runs").exists()


def test_recorded_results_count_as_done(capsys):
    assert run_sweep("norm=bn", "batch=2") == 0
    (result,) = Path("runs").glob("*/result.json")
    Path("kept/runs").mkdir(parents=True)
    shutil.move(result, Path("kept/runs") / f"{result.parent.name[:12]}.json")
    capsys.readouterr()
    assert run_sweep("batch=2", "dry_run=true", "results_dir=kept") == 0
    shown = capsys.readouterr().out
    assert shown.count("done   bn batch=2") == 1
    assert "2 runs: 1 done, 1 to do" in shown
    assert run_sweep("batch=2", "dry_run=true") == 0
    assert "2 runs: 0 done, 2 to do" in capsys.readouterr().out


def test_failures_are_listed_together_and_the_others_go_on(capfd, monkeypatch):
    monkeypatch.setenv("FAKE_WORKER", "fail bn-batch4")
    assert run_sweep() == 1
    shown = capfd.readouterr()
    assert len(list(Path("runs").glob("*/result.json"))) == 3
    assert "bn batch=4 seed=0: failed, the layer is odd" in shown.out
    assert (
        "\n1 of 4 runs failed; the same command runs them again:\n  bn batch=4 seed=0: the layer is odd\n"
        in shown.err
    )
    assert "/log.txt\n    gnexp train scale=smoke norm=bn batch=4 seed=0\n" in shown.err
    monkeypatch.setenv("FAKE_WORKER", "finish")
    assert run_sweep() == 0
    assert "4 runs: 3 done, 1 to do" in capfd.readouterr().out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_stopped_sweep_starts_no_further_run(capfd, monkeypatch, number, code):
    monkeypatch.setenv("FAKE_WORKER", "wait gn8-batch2")  # the first: it has the most steps

    def send():
        deadline = time.monotonic() + 30
        while not list(Path("runs").glob("*/waiting")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    assert run_sweep("batch=4,2", "norm=gn,bn") == code
    sender.join()
    assert len(order_of_runs()) == 1
    if number == signal.SIGINT:
        assert capfd.readouterr().err == (
            "gnexp: interrupted with 0 of 4 runs done; the same command goes on from there\n"
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["norm=gm"], "unknown norm 'gm'"),
        (["batch=0,2"], "batch must be at least 1 image per worker, got 0"),
        (["experiment=batchsize"], "did you mean batch_size?"),
        (["seeds=0"], "seeds must be at least 1"),
        (["seeds=two"], "seeds: Value 'two'"),
        (["runs_dir=/dev/null"], "cannot write to /dev/null"),
        (["hydra.launcher.n_job=2"], "n_job"),
    ],
)
def test_a_mistake_that_hits_every_run_starts_nothing(capfd, words, message):
    assert run_sweep(*words) == 2
    shown = capfd.readouterr()
    assert message in shown.err
    assert shown.err.startswith("gnexp: error: ")
    assert shown.err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_torn_result_is_listed_and_the_others_go_on(capfd):
    runs = [cell.runs[0] for cell in compose.expand("batch_size", "smoke").cells]
    run_dir = launch.find_run_dir(Path("runs"), runs[0])
    run_dir.mkdir(parents=True)
    (run_dir / "result.json").write_text("{")
    assert run_sweep() == 1
    err = capfd.readouterr().err
    assert "1 of 4 runs failed" in err
    assert f"{run_dir}/result.json is not a result of gnexp" in err
    assert all(launch.finished(launch.find_run_dir(Path("runs"), run)) for run in runs[1:])


def test_commands_lead_to_the_runs_directory_in_use(capfd):
    assert run_sweep("runs_dir=else where", "dry_run=true") == 0
    assert "seed=0 'runs_dir='\"'\"'else where'\"'\"''" in capfd.readouterr().out


def test_flags_leave_a_sweep_a_sweep(tmp_path, capfd):
    assert run_sweep("dry_run=true", "--config-dir", str(tmp_path)) == 0
    assert "4 runs: 0 done, 4 to do" in capfd.readouterr().out
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "side_by_side", "threads"),
    [
        (["hydra/launcher=joblib"], 4, 1),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], 2, 2),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=9"], 9, 1),
        (["hydra/launcher=joblib", "device=cuda"], 1, 4),
        (["hydra/launcher=joblib", "device=cuda", "hydra.launcher.n_jobs=2"], 2, 2),
        (["hydra/launcher=joblib", "threads=3"], 4, 3),
        (["hydra/launcher=basic"], 1, None),
    ],
)
def test_cores_are_shared_among_runs(monkeypatch, words, side_by_side, threads):
    """Nothing is started: the launcher is replaced by one that keeps what it is told."""
    from hydra.core.plugins import Plugins

    told = {}

    class Launcher:
        def launch(self, jobs, initial_job_idx):
            told["jobs"] = jobs
            return []

    def instantiate(self, hydra_context, task_function, config):
        told["n_jobs"] = config.hydra.launcher.get("n_jobs")
        return Launcher()

    def run_plan(plan, runs_dir, run, beside):
        run()
        told["side_by_side"] = beside
        return 0

    monkeypatch.setattr(Plugins, "instantiate_launcher", instantiate)
    monkeypatch.setattr(run_of, "run_plan", run_plan)
    monkeypatch.setattr(launch, "num_cores", lambda: 4)
    device = [] if "device=cuda" in words else ["device=cpu"]
    assert cli.main(["sweep", "scale=smoke", "norm=gn", *device, *words]) == 0
    assert told["side_by_side"] == side_by_side
    if told["n_jobs"] is not None:
        assert told["n_jobs"] in (side_by_side, -1)
    for job in told["jobs"]:
        assert [word for word in job if word.startswith("threads=")] == (
            [f"threads={threads}"] if threads else []
        )


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


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (89, "89 s"), (300, "5 min"), (7200, "2.0 h")])
def test_durations_are_short(seconds, text):
    assert progress_of._duration(seconds) == text


@pytest.mark.parametrize(
    ("processes", "n_jobs", "shared"), [(1, -1, (8, 1)), (4, -1, (2, 4)), (8, -1, (1, 8)), (4, 1, (1, 8))]
)
def test_runs_of_several_processes_share_the_cores(monkeypatch, processes, n_jobs, shared):
    """Eight cores: how many runs go side by side, and the threads of each with all its processes."""
    monkeypatch.setattr(launch, "num_cores", lambda: 8)
    sweeper = GnexpSweeper()
    sweeper.config = OmegaConf.create(
        {
            "hydra": {
                "launcher": {"_target_": "x.JoblibLauncher", "n_jobs": n_jobs},
                "runtime": {"choices": {"hydra/launcher": "joblib"}},
            }
        }
    )
    assert sweeper._share([RunConfig(processes=processes, device="cpu")]) == shared
    assert sweeper.config.hydra.launcher.n_jobs in (n_jobs, shared[0])


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
        config = json.loads(spec.read_text())["config"]
        (parent,) = Path("runs").glob(f"*{spec.parent.name.split('-')[3]}-batch4-seed1")
        assert config["init"] == parent.name.split("-")[0]
        assert config["init_path"] == str(parent.resolve() / "weights.pt")
    capfd.readouterr()
    assert run_sweep(*words) == 0
    assert capfd.readouterr().out == "4 runs: 4 done, 0 to do\n"  # nobody is left who needs a parent


@pytest.mark.parametrize(
    ("what", "fate"), [("diverge bn-batch4", "diverged"), ("fail bn-batch4", "has failed")]
)
def test_a_run_whose_parent_left_no_weights_is_blocked(capfd, monkeypatch, what, fate):
    monkeypatch.setenv("FAKE_WORKER", what)
    assert run_sweep("experiment=null", "norm=bn,gn", "batch=2", "init='cell: batch=4'") == 1
    shown = capfd.readouterr().err
    assert f"  bn seed=0: blocked: bn batch=4 seed=0, which it starts from, {fate}\n" in shown
    is_hopeless = fate == "diverged"  # then there is nothing to run again, and no log
    assert ("1 of 4 runs cannot be made, since what they start from diverged" in shown) == is_hopeless
    assert ("2 of 4 runs failed; the same command runs them again" in shown) != is_hopeless
    assert ("log.txt" in shown) != is_hopeless
    assert len(list(Path("runs").glob("*gn8*/result.json"))) == 2
    assert not list(Path("runs").glob("*bn-batch2*/seen.jsonl"))


@pytest.mark.parametrize("is_recorded", [False, True])
def test_a_diverged_parent_is_not_made_again_and_its_children_show_as_blocked(
    capfd, monkeypatch, is_recorded
):
    monkeypatch.setenv("FAKE_WORKER", "diverge bn-batch4")
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
        assert len(before[0].read_text().splitlines()) == 1


def test_train_names_the_run_that_is_missing(capfd):
    words = ["train", "scale=smoke", "norm=bn", "batch=2", "init='cell: batch=4'"]
    assert cli.main(words) == 2
    assert (
        "starts from fashion_scenes-thin_resnet-bn-batch4-seed0, which has no final weights in runs; "
        "first gnexp train scale=smoke norm=bn batch=4, or let gnexp sweep do both" in capfd.readouterr().err
    )
    assert cli.main([*words, "runs_dir='my runs (2)'"]) == 2
    command = capfd.readouterr().err.split("first ")[1].split(", or let")[0]
    overrides.parse(shlex.split(command)[2:])  # as it is pasted
    assert cli.main(["train", "scale=smoke", "norm=bn", "batch=4"]) == 0
    assert cli.main(words) == 0
    assert cli.main(["train", "scale=smoke", "init='cell: bach=4'"]) == 2
    assert "init=cell: bach=4: unknown key bach; did you mean batch?" in capfd.readouterr().err


def results_of(expansions, left_out=()):
    """Results of every run but some, recorded in kept/."""
    for run in (run for e in expansions for cell in e.cells for run in cell.runs):
        if run.run_id not in left_out:
            write_result(run, Path(f"kept/runs/{run.run_id}.json"))


def write_result(run, path, **changes):
    values = {
        "metrics": {"val/top1_error": 1.0},
        "series": [],
        "num_parameters": 1,
        "env": [],
        "seconds": 1.0,
    }
    values |= {"scale": run.scale, "status": "finished", "science": science(run), "data_fingerprint": "0"}
    Result(run_id=run.run_id, label=run.label, **(values | changes)).save(path)


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
    assert blocks[0].startswith("what some of them start from: 1 runs: 0 done, 1 to do\nto do  bn ")
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
