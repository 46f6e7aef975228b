"""Starting the trainer: its spec, threads, signals, and what its end means. The trainer here is a fake."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gnexp.config import RunConfig, from_dict
from gnexp.launch import launch
from gnexp.runs.directory import find_run_dir
from gnexp.runs.lock import is_locked, locked
from gnexp.system import hardware
from tests.warm import crowding

FAKE = str(Path(__file__).parents[1] / "fake_trainer.py")


@pytest.fixture(autouse=True)
def _fake_trainer(monkeypatch):
    monkeypatch.setattr(launch, "TRAINER", (sys.executable, FAKE))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def seen(run_dir):
    return [
        json.loads(line) for line in (run_dir.path / "seen.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def test_spec_says_what_runs(tmp_path):
    run = RunConfig(batch=2, seed=3)
    outcome = launch.launch(run, tmp_path / "runs", quiet=True)
    assert outcome.exit_code == 0
    assert outcome.run_dir.path == tmp_path / "runs" / f"{run.run_id}-{run.label}"
    spec = json.loads(outcome.run_dir.spec.read_text(encoding="utf-8"))
    assert (spec["format"], spec["run_id"], spec["label"]) == (1, run.run_id, run.label)
    assert from_dict(spec["config"]).run_id == run.run_id
    assert from_dict(spec["config"]).threads == hardware.default_threads()


def test_one_of_a_sweep_waits_for_another_writer(tmp_path, monkeypatch):
    """Two sweeps over one grid: the second waits for the first, then finds the result there."""
    monkeypatch.setattr(launch, "_POLL_SECONDS", 0.05)
    run = RunConfig()
    run_dir = find_run_dir(tmp_path, run)
    run_dir.path.mkdir()
    held, release = threading.Event(), threading.Event()

    def first() -> None:
        with locked(run_dir):
            held.set()
            release.wait(20)

    writer = threading.Thread(target=first)
    writer.start()
    held.wait(20)
    assert is_locked(run_dir)
    threading.Timer(0.5, release.set).start()
    begin = time.monotonic()
    assert launch.launch(run, tmp_path, quiet=True).exit_code == 0
    assert time.monotonic() - begin > 0.4
    writer.join()
    assert not is_locked(run_dir)
    assert not run_dir.error.exists()


@pytest.mark.parametrize("quiet", [False, True])
def test_threads_are_set_in_the_spec_and_in_the_environment(tmp_path, capfd, quiet):
    outcome = launch.launch(RunConfig(threads=3), tmp_path, quiet=quiet)
    (line,) = seen(outcome.run_dir)
    assert (line["threads"], line["OMP_NUM_THREADS"], line["MKL_NUM_THREADS"]) == (3, "3", "3")
    assert line["GNEXP_QUIET"] == ("1" if quiet else None)
    assert ("hello" in capfd.readouterr().out) != quiet
    if quiet:
        assert "hello from the trainer" in outcome.run_dir.log.read_text(encoding="utf-8")


def test_a_finished_run_is_not_run_again(tmp_path):
    first = launch.launch(RunConfig(), tmp_path, quiet=True)
    again = launch.launch(RunConfig(threads=1), tmp_path, quiet=True)
    assert again.exit_code == 0
    assert again.message == f"already finished: 12.0 % error in {first.run_dir}"
    assert len(seen(first.run_dir)) == 1


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("fail", 2, "the layer is odd"),
        ("crash", 1, "RuntimeError: boom"),
        ("kill", 1, "the trainer was ended by SIGKILL; was memory short?"),
    ],
)
def test_a_failure_is_one_line_and_the_rest_is_in_the_log(tmp_path, monkeypatch, capfd, what, code, message):
    monkeypatch.setenv("FAKE_TRAINER", what)
    outcome = launch.launch(RunConfig(), tmp_path, quiet=True)
    assert (outcome.exit_code, outcome.message) == (code, message)
    assert outcome.run_dir.error.read_text(encoding="utf-8") == message + "\n"
    assert message in outcome.run_dir.log.read_text(encoding="utf-8")
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("FAKE_TRAINER", "finish")
    assert launch.launch(RunConfig(), tmp_path, quiet=True).exit_code == 0
    assert not outcome.run_dir.error.exists()


def test_alone_a_killed_process_says_so(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("FAKE_TRAINER", "kill")
    assert launch.launch(RunConfig(), tmp_path, quiet=False).exit_code == 1
    assert capfd.readouterr().err == "gnexp: the trainer was ended by SIGKILL; was memory short?\n"


def test_diverged_is_done(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_TRAINER", "diverge")
    assert launch.launch(RunConfig(), tmp_path, quiet=True).exit_code == 0
    assert launch.launch(RunConfig(), tmp_path, quiet=True).message.startswith(
        "already finished: diverged in "
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_is_passed_on_once_and_waited_for(tmp_path, monkeypatch, number, code):
    monkeypatch.setenv("FAKE_TRAINER", "wait")
    run_dir = find_run_dir(tmp_path, RunConfig())

    def send():
        wait_for(run_dir.path / "waiting")
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    outcome = launch.launch(RunConfig(), tmp_path, quiet=True)
    sender.join()
    assert (outcome.exit_code, outcome.stopped_by, outcome.message) == (code, number, "")
    assert json.loads((run_dir.path / "caught.json").read_text(encoding="utf-8")) == [number]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_terminals_ctrl_c_reaches_the_child_once(tmp_path):
    """Ctrl-C goes to the whole process group: without a group of its own the child would get two signals."""
    code = (
        "import sys; from pathlib import Path; from gnexp.config import RunConfig; from gnexp.launch import launch\n"
        f"launch.TRAINER = (sys.executable, {FAKE!r})\n"
        f"sys.exit(launch.launch(RunConfig(), Path({str(tmp_path)!r}), quiet=False).exit_code)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], process_group=0, env=os.environ | {"FAKE_TRAINER": "wait"}
    )
    run_dir = find_run_dir(tmp_path, RunConfig())
    wait_for(run_dir.path / "waiting")
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.wait(timeout=20 * crowding()) == 130
    assert json.loads((run_dir.path / "caught.json").read_text(encoding="utf-8")) == [signal.SIGINT]


def test_a_file_in_the_way_is_a_users_mistake(tmp_path):
    (tmp_path / "runs").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"cannot write to .*runs.*runs_dir="):
        launch.launch(RunConfig(), tmp_path / "runs", quiet=True)


def test_a_torn_result_is_named(tmp_path):
    run_dir = find_run_dir(tmp_path, RunConfig())
    run_dir.path.mkdir()
    run_dir.result.write_text('{"format": 1, "run', encoding="utf-8")
    with pytest.raises(ValueError, match=r"result.json is not a result of gnexp"):
        launch.launch(RunConfig(), tmp_path, quiet=True)


def test_several_processes_are_torchruns_and_share_the_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "TORCHRUN", (sys.executable, FAKE))
    monkeypatch.setattr(hardware, "num_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run = RunConfig(processes=4)
    outcome = launch.launch(run, tmp_path, quiet=True)
    assert outcome.exit_code == 0
    (told,) = seen(outcome.run_dir)
    assert told["arguments"] == ["4", str(outcome.run_dir.spec)]
    assert (told["threads"], told["OMP_NUM_THREADS"]) == (2, "2")
