"""Faults 8 to 11: whatever happens to a checkpoint or to its disk, there is one to go on from, or an error."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from gnexp.engine.checkpoint import Checkpoints
from gnexp.experiments.run import train_run
from gnexp.runs.directory import RunDirectory
from gnexp.runs.spec import load_spec
from tests.faults.started import checkpoints, in_child, position, trainer
from tests.faults.tiny import CPU, assert_equal, contents, train_until, train_whole, write_spec

_MIDDLE, _SECOND_EPOCH = 3, 9  # looks: see tests/faults/test_resume.py


def kill_at_each_call(folder: Path, outcomes: Path) -> None:
    """Saves a third checkpoint beside two, killed before and after each call of Python's that touches a file."""
    os.fsync = lambda descriptor: None  # type: ignore[assignment,misc]  # slow, and a kill loses nothing of what it syncs
    checkpoints = Checkpoints(RunDirectory(folder))
    values = [{"number": number, "weights": torch.full((100,), float(number))} for number in (1, 2, 3)]
    found = []
    for moment in itertools.count(1):
        for path in folder.glob("checkpoints/*"):
            path.unlink()
        for number in (1, 2):
            checkpoints.save(values[number - 1], epoch=number, step=0)
        pid = os.fork()
        if pid == 0:
            calls = itertools.count(1)

            def count(frame: FrameType, event: str, argument: Any) -> None:
                # Not torch's, which fill memory.
                is_ours = frame.f_code.co_filename.endswith(("files.py", "checkpoint.py", "pathlib.py"))
                if is_ours and event.startswith("c_") and next(calls) == moment:  # noqa: B023
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.setprofile(count)
            checkpoints.save(values[2], epoch=3, step=0)
            sys.setprofile(None)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        try:
            loaded, problems = Checkpoints(RunDirectory(folder)).load(CPU)
            found.append([loaded["number"], problems, sorted(p.name for p in folder.glob("*/.*.tmp"))])  # type: ignore[index]
        except ValueError as error:
            found.append([0, [str(error)], []])
        if status == 0:
            break
    outcomes.write_text(json.dumps(found), encoding="utf-8")


@pytest.mark.slow
def test_fault_08_killed_at_each_call_of_a_save(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    assert in_child(kill_at_each_call, tmp_path, tmp_path / "outcomes.json") == 0
    outcomes = json.loads((tmp_path / "outcomes.json").read_text(encoding="utf-8"))
    assert len(outcomes) > 200, "too few moments: does the profile see the calls?"
    numbers = [number for number, _, _ in outcomes]
    # The old one before the rename and the new one after it: never none, and never back.
    assert numbers[0] == 2 and numbers[-1] == 3 and numbers == sorted(numbers)
    assert all(problems == [] and leftovers == [] for _, problems, leftovers in outcomes)


def _damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "flipped":
        place = len(content) // 2
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize(
    "how",
    ["truncated", *(pytest.param(how, marks=pytest.mark.slow) for how in ("flipped", "empty", "missing"))],
)
def test_fault_09_a_damaged_checkpoint_costs_some_steps_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    whole, spec = write_spec(tmp_path / "whole"), write_spec(tmp_path / "damaged")
    train_whole(whole)
    assert train_until(spec, _SECOND_EPOCH)
    newest = checkpoints(spec.parent)[-1]
    assert position(spec.parent)[1] > 0
    _damage(newest, how)
    capsys.readouterr()
    train_whole(spec)
    said = capsys.readouterr().out
    assert "goes on from the checkpoint of epoch 1\n" in said  # the one before
    if how != "missing":
        assert (
            f"warning: {newest} cannot be read (" in said and "going back to the checkpoint before it" in said
        )
    assert_equal(contents(spec.parent), contents(whole.parent))


def test_fault_10_all_damaged_is_an_error_and_no_silent_start_from_zero(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    assert train_until(spec, _SECOND_EPOCH)
    paths = checkpoints(spec.parent)
    assert len(paths) == 2
    for path in paths:
        _damage(path, "flipped")
    before = {path: path.read_bytes() for path in (*paths, spec.parent / "metrics.jsonl")}
    with pytest.raises(ValueError, match=f"no checkpoint is whole: {paths[1]} .*{paths[0]} .*bring one back"):
        train_run(load_spec(spec))
    assert {path: path.read_bytes() for path in before} == before
    for path in spec.parent.glob("checkpoints/*"):
        path.unlink()
    (spec.parent / "metrics.jsonl").write_text(
        before[spec.parent / "metrics.jsonl"].decode() * 2, encoding="utf-8"
    )
    with pytest.raises(ValueError, match="has the records of 2 epochs and no checkpoint"):
        train_run(load_spec(spec))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 5 MB: a checkpoint of a tiny run takes 2.5."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(
            "mounting a small disk needs root; tests/launch/test_trainer.py has the kernel's limit on a file's size"
        )
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("fault", ["full", pytest.param("read-only", marks=pytest.mark.slow)])
def test_fault_11_a_disk_that_takes_nothing(tmp_path: Path, small_disk: Path, fault: str) -> None:
    """A real file system that fills up, or turns read-only, between two segments; mended, the run ends equal."""
    whole, spec = write_spec(tmp_path / "whole"), write_spec(small_disk)
    train_whole(whole)
    assert train_until(spec, _MIDDLE)
    before = {path: path.read_bytes() for path in checkpoints(spec.parent)}
    filler = small_disk / "filler"
    if fault == "full":
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        with open(
            filler, "rb+"
        ) as file:  # room for small files, so that it is the checkpoint that does not fit
            file.truncate(filler.stat().st_size - 200_000)
    else:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with trainer(spec, errors=tmp_path / "errors.txt") as process:
        code, errors = process.wait()
    reason = {"full": "No space left on device", "read-only": "Read-only file system"}[fault]
    assert code == 2 and len(errors) == 1 and errors[0].startswith("gnexp: error: ") and reason in errors[0]
    assert {path: path.read_bytes() for path in checkpoints(spec.parent)} == before
    assert not list(small_disk.glob("**/.*.tmp"))
    subprocess.run(["mount", "-o", "remount,rw,size=50m", small_disk], check=True)
    train_whole(spec)
    assert_equal(contents(spec.parent), contents(whole.parent))
