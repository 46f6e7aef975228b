"""The training process as its parent sees it: exit codes, one line for each mishap, nothing lost."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gnexp.config import DataConfig, NormConfig, RecipeConfig
from gnexp.experiments.lock import EXIT_BUSY, locked
from gnexp.experiments.status import read_message
from tests.experiments.runs import write_spec

ROOT = Path(__file__).parents[1]
LONG = RecipeConfig(epochs=500, base_lr=0.01)


def start(spec: Path, *arguments: str, file_size: int | None = None) -> subprocess.Popen[str]:
    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what it starts in the background
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    command = [sys.executable, "-m", "gnexp.worker", *(arguments or ("train", str(spec)))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=prepare,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err.splitlines()


def wait_for_epoch(process: subprocess.Popen[str], directory: Path) -> None:
    deadline = time.monotonic() + 60
    while not list((directory / "checkpoints").glob("*.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def newest(directory: Path) -> Path:
    return max((directory / "checkpoints").glob("*.pt"))


def test_a_run_and_its_evaluation(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    code, out, err = finish(start(spec))
    assert code == 0 and err == []
    assert [line.split(":")[0] for line in out.splitlines() if line.startswith("epoch")] == [
        "epoch 1/3", "epoch 2/3", "epoch 3/3",
    ]  # fmt: skip
    code, out, err = finish(start(spec, "eval", str(spec), "all", "0"))
    metrics = json.loads((spec.parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert code == 0 and {tuple(line.split("\t")[:2]): line.split("\t")[2] for line in out.splitlines()} == {
        ("worker0", "top1_error"): f"{metrics['val/top1_error']:.4f}",
        ("mean", "top1_error"): f"{metrics['val/top1_error_mean']:.4f}",
        ("precise", "top1_error"): f"{metrics['val/top1_error_precise']:.4f}",
    }
    code, _, err = finish(start(spec, "eval", str(spec), "best", "0"))
    assert code == 2 and err == [
        "gnexp: error: eval_stats must be one of worker0, mean, precise, all; got best"
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_ends_it_and_a_rerun_goes_on(tmp_path: Path, number: signal.Signals, code: int) -> None:
    spec = write_spec(tmp_path, recipe=LONG)
    process = start(spec)
    wait_for_epoch(process, spec.parent)
    process.send_signal(number)
    returned, _, err = finish(process)
    assert returned == code and len(err) <= 1
    assert err == ["gnexp: stopped; the same command goes on from the last checkpoint"]
    again = start(spec)
    assert again.stdout is not None
    lines = [again.stdout.readline() for _ in range(4)]
    again.send_signal(signal.SIGKILL)
    again.communicate()
    assert lines[3].startswith("goes on from the checkpoint of epoch ")


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, recipe=LONG)
    code = (
        "import subprocess, sys, time; "
        f"p = subprocess.Popen([sys.executable, '-m', 'gnexp.worker', 'train', {str(spec)!r}]); "
        "print(p.pid, flush=True); "
        "time.sleep(100)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    deadline = time.monotonic() + 60
    while not list((spec.parent / "checkpoints").glob("*.pt")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while _is_alive(child):
        assert time.monotonic() < deadline, "the worker outlived its parent by 10 s"
        time.sleep(0.1)
    parent.stdout.close()


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, recipe=LONG)
    process = start(spec)
    wait_for_epoch(process, spec.parent)
    process.send_signal(signal.SIGINT)
    finish(process)
    before = newest(spec.parent).read_bytes()
    # The kernel's own limit on a file's size stands for the full disk: the same call fails in the same place.
    code, _, err = finish(start(spec, file_size=len(before) // 2))
    assert code == 2 and len(err) == 1 and err[0].startswith("gnexp: error: ") and "File too large" in err[0]
    assert str(spec.parent) in err[0]
    assert newest(spec.parent).read_bytes() == before
    assert not list(spec.parent.glob("**/.*.tmp"))


def test_a_device_without_space_is_one_line(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    (spec.parent / "log.txt").symlink_to("/dev/full")
    code, _, err = finish(start(spec))
    assert code == 2 and len(err) == 1 and "No space left on device" in err[0] and str(spec.parent) in err[0]


def test_a_run_that_another_process_writes_is_refused(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    with locked(spec.parent):
        code, _, err = finish(start(spec))
    assert code == EXIT_BUSY and len(err) == 1 and f"is being written by pid {os.getpid()} on" in err[0]
    assert not (spec.parent / "checkpoints").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"norm": NormConfig(kind="gn", num_groups=5)},
            "layer bn1: groups must divide its channels evenly, got C=16 and G=5",
        ),
        (
            {
                "data": DataConfig(
                    name="imagenet",
                    kind="imagefolder",
                    root="/nowhere",
                    channels=3,
                    mean=(0.5,) * 3,
                    std=(0.5,) * 3,
                    crop_area=(0.08, 1.0),
                    crop_aspect=(0.75, 1.33),
                    eval_resize=36,
                )
            },
            "/nowhere",
        ),
        ({"device": "cuda"}, "device=cuda needs a GPU"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    code, _, err = finish(start(write_spec(tmp_path, **changes)))
    assert code == 2 and len(err) == 1 and err[0].startswith("gnexp: error: ") and message in err[0]


@pytest.mark.parametrize("has_agent", [False, True])
def test_a_mistake_that_a_later_process_finds_is_told_by_it_or_by_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_agent: bool
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv("GNEXP_AGENT", raising=False)
    if has_agent:
        monkeypatch.setenv("GNEXP_AGENT", "1")
    spec = write_spec(tmp_path, norm=NormConfig(kind="gn", num_groups=5))
    code, _, err = finish(start(spec))
    message = "error: layer bn1: groups must divide its channels evenly"
    assert code == 2
    if has_agent:
        assert err == [] and message in read_message(spec.parent)
    else:
        assert len(err) == 1 and err[0].startswith(f"gnexp: process 1: {message}")
