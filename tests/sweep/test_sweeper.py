"""`gnexp sweep` through the basic launcher in this process, with a fake worker."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gnexp.cli import main as cli
from gnexp.compose import composer as compose
from gnexp.config import RunConfig
from gnexp.runs.directory import find_run_dir
from gnexp.runs.result import finished
from gnexp.sweep import run as run_of
from gnexp.system import hardware
from hydra_plugins.gnexp_sweeper.sweeper import GnexpSweeper
from tests.sweep.sweeps import in_a_folder, order_of_runs, run_sweep

__all__ = ["in_a_folder"]  # a fixture of every test here


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model=timm", "model.arch=nonsense"), "timm has no classifier model.arch=nonsense"),
        (("budget=banana",), "budget must be a time such as 24h"),
    ],
)
def test_a_dry_run_refuses_what_the_sweep_would(capfd, words, message):
    assert run_sweep("batch=2", "experiment=null", "norm=gn", *words, "dry_run=true") == 2
    shown = capfd.readouterr()
    assert shown.out == "" and message in shown.err


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
    monkeypatch.setenv("FAKE_TRAINER", "fail bn-batch4")
    assert run_sweep() == 1
    shown = capfd.readouterr()
    assert len(list(Path("runs").glob("*/result.json"))) == 3
    assert "bn batch=4 seed=0: failed, the layer is odd" in shown.out
    assert (
        "\n1 of 4 runs failed; the same command runs them again:\n  bn batch=4 seed=0: the layer is odd\n"
        in shown.err
    )
    assert "/log.txt\n    gnexp train scale=smoke norm=bn batch=4 seed=0\n" in shown.err
    monkeypatch.setenv("FAKE_TRAINER", "finish")
    assert run_sweep() == 0
    assert "4 runs: 3 done, 1 to do" in capfd.readouterr().out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_stopped_sweep_starts_no_further_run(capfd, monkeypatch, number, code):
    monkeypatch.setenv("FAKE_TRAINER", "wait gn8-batch2")  # the first: it has the most steps

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
    run_dir = find_run_dir(Path("runs"), runs[0])
    run_dir.path.mkdir(parents=True)
    run_dir.result.write_text("{", encoding="utf-8")
    assert run_sweep() == 1
    err = capfd.readouterr().err
    assert "1 of 4 runs failed" in err
    assert f"{run_dir}/result.json is not a result of gnexp" in err
    assert all(finished(find_run_dir(Path("runs"), run)) for run in runs[1:])


def test_commands_lead_to_the_runs_directory_in_use(capfd):
    assert run_sweep("runs_dir=else where", "dry_run=true") == 0
    assert "seed=0 'runs_dir=\"else where\"'" in capfd.readouterr().out


@pytest.mark.slow
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
    monkeypatch.setattr(hardware, "num_cores", lambda: 4)
    device = [] if "device=cuda" in words else ["device=cpu"]
    assert cli.main(["sweep", "scale=smoke", "norm=gn", *device, *words]) == 0
    assert told["side_by_side"] == side_by_side
    if told["n_jobs"] is not None:
        assert told["n_jobs"] in (side_by_side, -1)
    for job in told["jobs"]:
        assert [word for word in job if word.startswith("threads=")] == (
            [f"threads={threads}"] if threads else []
        )


@pytest.mark.parametrize(
    ("processes", "n_jobs", "shared"), [(1, -1, (8, 1)), (4, -1, (2, 4)), (8, -1, (1, 8)), (4, 1, (1, 8))]
)
def test_runs_of_several_processes_share_the_cores(monkeypatch, processes, n_jobs, shared):
    """Eight cores: how many runs go side by side, and the threads of each with all its processes."""
    monkeypatch.setattr(hardware, "num_cores", lambda: 8)
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
