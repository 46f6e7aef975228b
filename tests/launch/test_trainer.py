"""The trainer as its parent sees it: exit codes, one line for each mishap, nothing lost."""

import functools
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gnexp.config import RecipeConfig, data_config, norm_config
from gnexp.config.fields import FILE_HASH
from gnexp.runs.directory import RunDirectory
from gnexp.runs.lock import locked
from gnexp.runs.status import read_message
from gnexp.system.exit_codes import EXIT_BUSY
from tests.experiments.runs import write_spec
from tests.faults.started import is_alive, wait_until
from tests.warm import Trainer

ROOT = Path(__file__).parents[2]
LONG = RecipeConfig(epochs=500, base_lr=0.01)


def ignore_sigint() -> None:
    """As a shell does for what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def hold_files_to(num_bytes: int) -> None:
    ignore_sigint()
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def start(spec: Path, *arguments: str, prepare: Callable[[], None] = ignore_sigint) -> Trainer:
    return Trainer([*(arguments or ("train", str(spec)))], spec.parent.parent, prepare)


def finish(process: Trainer) -> tuple[int, str, list[str]]:
    code = process.wait()
    return code, *process.said


def wait_for_epoch(process: Trainer, directory: Path) -> None:
    def is_there() -> bool:
        assert process.is_alive, process.said
        return bool(list((directory / "checkpoints").glob("*.pt")))

    wait_until(is_there, "a checkpoint")


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
    wait_until(lambda: again.said[0].count("\n") > 2, "its first lines")
    again.send_signal(signal.SIGKILL)
    assert again.wait() == -signal.SIGKILL
    assert again.said[0].splitlines()[2].startswith("goes on from the checkpoint of epoch ")


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, recipe=LONG)
    code = (
        "import subprocess, sys, time; "
        f"p = subprocess.Popen([sys.executable, '-m', 'gnexp.launch.trainer', 'train', {str(spec)!r}]); "
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
    wait_until(lambda: list((spec.parent / "checkpoints").glob("*.pt")), "a checkpoint")
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_alive(child), "its end", 10)
    parent.stdout.close()


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, recipe=LONG)
    process = start(spec)
    wait_for_epoch(process, spec.parent)
    process.send_signal(signal.SIGINT)
    finish(process)
    before = newest(spec.parent).read_bytes()
    # The kernel's own limit on a file's size stands for the full disk: the same call fails in the same place.
    code, _, err = finish(start(spec, prepare=functools.partial(hold_files_to, len(before) // 2)))
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
    with locked(RunDirectory(spec.parent)):
        code, _, err = finish(start(spec))
    assert code == EXIT_BUSY and len(err) == 1 and f"is being written by pid {os.getpid()} on" in err[0]
    assert not (spec.parent / "checkpoints").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"norm": norm_config(kind="gn", num_groups=5)},
            "layer bn1: groups must divide its channels evenly, got C=16 and G=5",
        ),
        (
            {
                "data": data_config(
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


@pytest.mark.parametrize("has_torchrun", [False, True])
def test_a_mistake_that_a_later_process_finds_is_told_by_it_or_by_torchrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_torchrun: bool
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv("GNEXP_TORCHRUN", raising=False)
    if has_torchrun:
        monkeypatch.setenv("GNEXP_TORCHRUN", "1")
    spec = write_spec(tmp_path, norm=norm_config(kind="gn", num_groups=5))
    code, _, err = finish(start(spec))
    message = "error: layer bn1: groups must divide its channels evenly"
    assert code == 2
    if has_torchrun:
        assert err == [] and message in read_message(RunDirectory(spec.parent))
    else:
        assert len(err) == 1 and err[0].startswith(f"gnexp: process 1: {message}")


def test_weights_of_another_model_are_told_in_three_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a person reads; in a sweep's list and in the run's status it is one."""
    other = tmp_path / "other.safetensors"
    save_file({"stem.weight": np.zeros(3, dtype=np.float32)}, other)
    init = FILE_HASH + hashlib.sha256(other.read_bytes()).hexdigest()
    spec = write_spec(tmp_path, init=init, init_path=str(other))
    code, _, err = finish(start(spec))
    assert code == 2 and len(err) == 3
    assert err[0].startswith(f"gnexp: error: {other} must hold the weights of this model")
    assert err[1].startswith("  missing: ") and err[2] == "  too many: 1 (stem.weight)"
    monkeypatch.setenv("GNEXP_QUIET", "1")
    code, _, (line,) = finish(start(spec))
    assert code == 2 and "1 of the file's are not in the model (the first is stem.weight)" in line
    assert "stem.weight" in str(read_message(RunDirectory(spec.parent)))


@pytest.mark.parametrize(("rank", "expected"), [(None, -signal.SIGABRT), ("1", 75)])
def test_a_process_of_a_group_ends_without_the_teardown_in_which_gloo_may_abort_it(
    monkeypatch: pytest.MonkeyPatch, rank: str | None, expected: int
) -> None:
    """Here C's teardown aborts it always; a process alone, which needs no care, shows that it would."""
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    code = (
        "import atexit, ctypes\n"
        "from gnexp.launch.trainer import end\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.__cxa_atexit(libc.abort, None, None)\n"
        "atexit.register(print, 'Python ends')\n"
        "print('said')\n"
        "end(75)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (expected, "said\nPython ends\n")
