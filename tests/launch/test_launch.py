"""Starting the training process: its spec, threads, signals, and what its end means. The worker here is a fake."""

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
from gnexp.runs.lock import is_locked, locked

FAKE = str(Path(__file__).parents[1] / "fake_worker.py")


@pytest.fixture(autouse=True)
def _fake_worker(monkeypatch):
    monkeypatch.setattr(launch, "WORKER", (sys.executable, FAKE))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def seen(run_dir):
    return [json.loads(line) for line in (run_dir / "seen.jsonl").read_text(encoding="utf-8").splitlines()]


def test_spec_says_what_runs(tmp_path):
    run = RunConfig(batch=2, seed=3)
    outcome = launch.launch(run, tmp_path / "runs", quiet=True)
    assert outcome.exit_code == 0
    assert outcome.run_dir == tmp_path / "runs" / f"{run.run_id}-{run.label}"
    spec = json.loads((outcome.run_dir / "spec.json").read_text(encoding="utf-8"))
    assert (spec["format"], spec["run_id"], spec["label"]) == (1, run.run_id, run.label)
    assert from_dict(spec["config"]).run_id == run.run_id
    assert from_dict(spec["config"]).threads == launch.default_threads()


def test_threads_are_the_users_or_the_cores(monkeypatch):
    for asked, expected in (("3", 3), ("0", launch.num_cores()), ("many", launch.num_cores())):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert launch.default_threads() == expected
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert launch.default_threads() == launch.num_cores()


def test_one_of_a_sweep_waits_for_another_writer(tmp_path, monkeypatch):
    """Two sweeps over one grid: the second waits for the first, then finds the result there."""
    monkeypatch.setattr(launch, "_POLL_SECONDS", 0.05)
    run = RunConfig()
    run_dir = tmp_path / f"{run.run_id}-{run.label}"
    run_dir.mkdir()
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
    assert not (run_dir / "error.txt").exists()


@pytest.mark.parametrize("quiet", [False, True])
def test_threads_are_set_in_the_spec_and_in_the_environment(tmp_path, capfd, quiet):
    outcome = launch.launch(RunConfig(threads=3), tmp_path, quiet=quiet)
    (line,) = seen(outcome.run_dir)
    assert (line["threads"], line["OMP_NUM_THREADS"], line["MKL_NUM_THREADS"]) == (3, "3", "3")
    assert line["GNEXP_QUIET"] == ("1" if quiet else None)
    assert ("hello" in capfd.readouterr().out) != quiet
    if quiet:
        assert "hello from the worker" in (outcome.run_dir / "log.txt").read_text(encoding="utf-8")


def test_a_finished_run_is_not_run_again(tmp_path):
    first = launch.launch(RunConfig(), tmp_path, quiet=True)
    again = launch.launch(RunConfig(threads=1), tmp_path, quiet=True)
    assert again.exit_code == 0
    assert again.message == f"already finished: 12.0 % error in {first.run_dir}"
    assert len(seen(first.run_dir)) == 1


def test_a_run_begun_under_another_label_goes_on_in_its_directory(tmp_path):
    run = RunConfig()
    (tmp_path / f"{run.run_id}-old-label").mkdir()
    assert launch.find_run_dir(tmp_path, run).name == f"{run.run_id}-old-label"


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("fail", 2, "the layer is odd"),
        ("crash", 1, "RuntimeError: boom"),
        ("kill", 1, "the training process was ended by SIGKILL; was memory short?"),
    ],
)
def test_a_failure_is_one_line_and_the_rest_is_in_the_log(tmp_path, monkeypatch, capfd, what, code, message):
    monkeypatch.setenv("FAKE_WORKER", what)
    outcome = launch.launch(RunConfig(), tmp_path, quiet=True)
    assert (outcome.exit_code, outcome.message) == (code, message)
    assert (outcome.run_dir / "error.txt").read_text(encoding="utf-8") == message + "\n"
    assert message in (outcome.run_dir / "log.txt").read_text(encoding="utf-8")
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("FAKE_WORKER", "finish")
    assert launch.launch(RunConfig(), tmp_path, quiet=True).exit_code == 0
    assert not (outcome.run_dir / "error.txt").exists()


def test_alone_a_killed_process_says_so(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("FAKE_WORKER", "kill")
    assert launch.launch(RunConfig(), tmp_path, quiet=False).exit_code == 1
    assert capfd.readouterr().err == "gnexp: the training process was ended by SIGKILL; was memory short?\n"


def test_diverged_is_done(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_WORKER", "diverge")
    assert launch.launch(RunConfig(), tmp_path, quiet=True).exit_code == 0
    assert launch.launch(RunConfig(), tmp_path, quiet=True).message.startswith(
        "already finished: diverged in "
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_is_passed_on_once_and_waited_for(tmp_path, monkeypatch, number, code):
    monkeypatch.setenv("FAKE_WORKER", "wait")
    run_dir = launch.find_run_dir(tmp_path, RunConfig())

    def send():
        wait_for(run_dir / "waiting")
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    outcome = launch.launch(RunConfig(), tmp_path, quiet=True)
    sender.join()
    assert (outcome.exit_code, outcome.stopped_by, outcome.message) == (code, number, "")
    assert json.loads((run_dir / "caught.json").read_text(encoding="utf-8")) == [number]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_terminals_ctrl_c_reaches_the_child_once(tmp_path):
    """Ctrl-C goes to the whole process group: without a group of its own the child would get two signals."""
    code = (
        "import sys; from pathlib import Path; from gnexp import launch; from gnexp.config import RunConfig\n"
        f"launch.WORKER = (sys.executable, {FAKE!r})\n"
        f"sys.exit(launch.launch(RunConfig(), Path({str(tmp_path)!r}), quiet=False).exit_code)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], process_group=0, env=os.environ | {"FAKE_WORKER": "wait"}
    )
    run_dir = launch.find_run_dir(tmp_path, RunConfig())
    wait_for(run_dir / "waiting")
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.wait(timeout=20) == 130
    assert json.loads((run_dir / "caught.json").read_text(encoding="utf-8")) == [signal.SIGINT]


def test_a_file_in_the_way_is_a_users_mistake(tmp_path):
    (tmp_path / "runs").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"cannot write to .*runs.*runs_dir="):
        launch.launch(RunConfig(), tmp_path / "runs", quiet=True)


def test_a_full_disk_is_a_users_mistake_and_the_old_spec_stays(tmp_path, monkeypatch):
    run = RunConfig()
    spec = launch.write_spec(run, tmp_path / "run")
    before = spec.read_text(encoding="utf-8")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ValueError, match="No space left on device"):
        launch.write_spec(run, tmp_path / "run")
    assert spec.read_text(encoding="utf-8") == before


def test_another_runs_directory_is_refused_and_a_torn_spec_is_written_anew(tmp_path):
    spec = launch.write_spec(RunConfig(seed=1), tmp_path)
    with pytest.raises(
        ValueError, match=f"describes run {RunConfig(seed=1).run_id}, not {RunConfig().run_id}"
    ):
        launch.write_spec(RunConfig(), tmp_path)
    spec.write_text('{"format": 1, "conf', encoding="utf-8")
    launch.write_spec(RunConfig(), tmp_path)
    assert json.loads(spec.read_text(encoding="utf-8"))["run_id"] == RunConfig().run_id


def test_a_torn_result_is_named(tmp_path):
    run_dir = launch.find_run_dir(tmp_path, RunConfig())
    run_dir.mkdir()
    (run_dir / "result.json").write_text('{"format": 1, "run', encoding="utf-8")
    with pytest.raises(ValueError, match=r"result.json is not a result of gnexp"):
        launch.launch(RunConfig(), tmp_path, quiet=True)


def test_runs_are_named_by_path_id_or_its_start(tmp_path):
    dirs = [
        launch.write_spec(run, tmp_path / f"{run.run_id}-x").parent
        for run in (RunConfig(), RunConfig(seed=1))
    ]
    assert launch.named_run_dir(str(dirs[0]), Path("nowhere")) == dirs[0]
    assert launch.named_run_dir(dirs[1].name[:12], tmp_path) == dirs[1]
    assert launch.named_run_dir(dirs[1].name[:5], tmp_path) == dirs[1]
    with pytest.raises(ValueError, match="is the start of 2 runs"):
        launch.named_run_dir("", tmp_path)
    wrong = dirs[0].name[:11] + "x"
    with pytest.raises(ValueError, match=rf"no run {wrong} .*2 runs there.*did you mean {dirs[0].name[:12]}"):
        launch.named_run_dir(wrong, tmp_path)


def test_cores_follow_a_containers_share(tmp_path, monkeypatch):
    share = tmp_path / "cpu.max"
    monkeypatch.setattr(launch, "_CGROUP_CPU", share)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    for text, cores in (("max 100000", 8), ("300000 100000", 3), ("50000 100000", 1), ("", 8)):
        share.write_text(text, encoding="utf-8")
        assert launch.num_cores() == cores


@pytest.mark.parametrize(("device", "uses"), [("cpu", False), ("cuda", True), ("cuda:1", True)])
def test_a_named_device_decides(device, uses):
    assert launch.will_use_cuda(device) is uses


def test_hidden_gpus_are_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not launch.will_use_cuda("auto")


def test_several_processes_are_torchruns_and_share_the_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "AGENT", (sys.executable, FAKE))
    monkeypatch.setattr(launch, "num_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run = RunConfig(processes=4)
    outcome = launch.launch(run, tmp_path, quiet=True)
    assert outcome.exit_code == 0
    (told,) = seen(outcome.run_dir)
    assert told["arguments"] == ["4", str(outcome.run_dir / "spec.json")]
    assert (told["threads"], told["OMP_NUM_THREADS"]) == (2, "2")
