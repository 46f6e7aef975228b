"""Faults 1 to 4: a run that was stopped anywhere, once or often, ends bit for bit as one that was not."""

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from gnexp.config import model_config
from gnexp.engine.checkpoint import Checkpoints
from gnexp.experiments.run import train_run
from gnexp.runs.directory import RunDirectory
from gnexp.runs.spec import load_spec
from gnexp.runs.status import read_status
from tests.faults import tiny
from tests.faults.started import in_child, pair, position, steps_saved, trainer
from tests.faults.tiny import (
    EPOCHS,
    NORMS,
    STEPS,
    assert_equal,
    contents,
    run_threads,
    train_until,
    train_whole,
    write_spec,
)

# Looks of an epoch: before it, after each step, and before the one batch of val for each statistics measured.
_LOOKS = 1 + STEPS + 1
_PLACES = {
    "before the first step": 1,
    "after the first step": 2,
    "in the middle of an epoch": 3,
    "after the last step": 1 + STEPS,
    "in the evaluation": _LOOKS,
}


@pytest.mark.parametrize(
    "norm", ["brn", *(pytest.param(norm, marks=pytest.mark.slow) for norm in ("bn", "gn"))]
)
def test_fault_01_and_02_stopped_at_every_kind_of_moment_in_turn(tmp_path: Path, norm: str) -> None:
    """One run in many segments, each stopped at another kind of moment, against one in a single segment."""
    whole = write_spec(tmp_path / "whole", norm=NORMS[norm])
    torch.manual_seed(1)
    looks = train_whole(whole)
    spec = write_spec(tmp_path / "often", norm=NORMS[norm])
    torch.manual_seed(2)
    stops = [train_until(spec, look) for look in (*_PLACES.values(), *_PLACES.values())]
    assert sum(stops) >= 6, "stopped in too few places"
    assert looks >= EPOCHS * _LOOKS
    train_whole(spec)
    assert_equal(contents(spec.parent), contents(whole.parent))
    assert len(json.loads((spec.parent / "env.json").read_text(encoding="utf-8"))) == sum(stops) + 1


@pytest.mark.slow
def test_fault_01_adamw_and_a_cosine_go_on_bit_for_bit(tmp_path: Path) -> None:
    """Its two means and its count of steps are part of a checkpoint; the cosine is a function of the position."""
    whole, spec = (
        write_spec(tmp_path / name, recipe=tiny.ADAMW, norm=NORMS["gn"]) for name in ("whole", "often")
    )
    train_whole(whole)
    assert [train_until(spec, look) for look in (3, 2, 4)] == [True] * 3
    train_whole(spec)
    assert_equal(contents(spec.parent), contents(whole.parent))
    saved = contents(spec.parent)["checkpoint"]["state"]["optimizer"]["state"]
    assert {key for entry in saved.values() for key in entry} == {"step", "exp_avg", "exp_avg_sq"}


@pytest.mark.slow
def test_fault_01_a_network_of_torchvision_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """Its dropout draws by keys, so that no generator's state is part of a checkpoint."""
    model = model_config(kind="torchvision", name="torchvision", arch="mobilenet_v3_small")
    changes = {"model": model, "norm": NORMS["bn"], "recipe": dataclasses.replace(tiny.ADAMW, epochs=2)}
    whole, spec = (write_spec(tmp_path / name, **changes) for name in ("whole", "often"))
    torch.manual_seed(1)
    train_whole(whole)
    torch.manual_seed(2)
    assert [train_until(spec, look) for look in (3, 4)] == [True] * 2
    train_whole(spec)
    assert_equal(contents(spec.parent), contents(whole.parent))


@pytest.mark.slow
@pytest.mark.parametrize("norm", list(NORMS))
def test_fault_01_stopped_at_each_moment_alone(tmp_path: Path, norm: str) -> None:
    whole = write_spec(tmp_path / "whole", norm=NORMS[norm])
    expected = None
    for look in range(1, train_whole(whole) + 1):
        expected = expected or contents(whole.parent)
        spec = write_spec(tmp_path / str(look), norm=NORMS[norm])
        assert train_until(spec, look)
        train_whole(spec)
        assert_equal(contents(spec.parent), expected, f"look {look}")


def _stop(spec: Path, number: int, rank: int, num_saved: int) -> list[tuple[int, list[str]]]:
    """A segment of two processes of which one gets a signal once some more checkpoints were written."""
    target = steps_saved(spec.parent) + num_saved
    with pair(spec) as group:
        group[0].wait_for_steps(spec.parent, target)
        group[rank].send(number)
        return [process.wait() for process in group]


@pytest.mark.slow
@pytest.mark.dist
@pytest.mark.parametrize(
    ("norm", "loader_workers"),
    [
        ("bn", 2),
        ("brn", None),
        ("gn", 0),
        ("sync_bn", None),
    ],
    ids=["bn-2", "brn-memory", "gn-0", "sync_bn-memory"],
)
def test_fault_01_two_processes_stopped_and_killed(
    tmp_path: Path, norm: str, loader_workers: int | None
) -> None:
    """A signal to one of two, then a kill of one of two: both sit down together again and end bit for bit equal."""
    changes = {"norm": NORMS[norm], "processes": 2, "checkpoint_minutes": 0.0}
    if loader_workers is not None:
        photographs = tiny.photographs(tmp_path / "photographs")
        changes["data"] = dataclasses.replace(photographs, loader_workers=loader_workers)
    whole, spec = write_spec(tmp_path / "whole", **changes), write_spec(tmp_path / "often", **changes)
    with pair(whole) as group:
        assert [process.wait() for process in group] == [(0, []), (0, [])]
    line = "stopped; the same command goes on from the last checkpoint"
    assert _stop(spec, signal.SIGTERM, 1, 2) == [
        (75, [f"gnexp: {line}"]),
        (75, []),  # the first tells for both
    ]
    assert read_status(RunDirectory(spec.parent)) == "preempted"
    half_way = shutil.copytree(spec.parent, tmp_path / "alone" / spec.parent.name)
    # The one that is left leaves the word to whoever watches both: see tests/faults/test_processes.py.
    assert _stop(spec, signal.SIGKILL, 0, 2) == [
        (-signal.SIGKILL, []),
        (3, ["gnexp: process 1: another process of this run has ended, and says why"]),
    ]
    with pair(spec) as group:
        assert [process.wait() for process in group] == [(0, []), (0, [])]
    assert_equal(contents(spec.parent), contents(whole.parent))
    # Fault 3: one process takes up what two have begun. The same numbers but for rounding, which a ReLU here and there
    # makes larger; tests/engine/test_processes.py has it in float64.
    begun, _ = Checkpoints(RunDirectory(half_way)).load(tiny.CPU)
    assert begun is not None
    alone = write_spec(half_way.parent, **{**changes, "processes": 1})
    train_whole(alone)
    models = (begun["state"]["model"], *(contents(of.parent)["weights"]["model"] for of in (whole, alone)))
    start, two, one = (torch.cat([value.flatten().double() for value in model.values()]) for model in models)
    assert models[1].keys() == models[2].keys() and (one - two).norm() < 0.01 * (two - start).norm()


@pytest.mark.slow
@pytest.mark.parametrize("loader_workers", [0, 2])
def test_fault_02_killed_three_times_in_a_row(tmp_path: Path, loader_workers: int) -> None:
    """SIGKILL between any two instructions, the next segment at once: the dead one's loaders keep nobody out."""
    data = dataclasses.replace(tiny.photographs(tmp_path / "photographs"), loader_workers=loader_workers)
    whole, spec = (
        write_spec(tmp_path / name, data=data, checkpoint_minutes=0.0) for name in ("whole", "often")
    )
    train_whole(whole)
    for target in (1, 4, 7):  # in an epoch, at its end, in the next
        with trainer(spec) as process:
            process.wait_for_steps(spec.parent, target)
            process.send(signal.SIGKILL)
            assert process.wait() == (-signal.SIGKILL, [])
    with trainer(spec) as process:
        assert process.wait() == (0, [])
    assert_equal(contents(spec.parent), contents(whole.parent))


def test_fault_03_another_config_is_another_run(tmp_path: Path) -> None:
    """A checkpoint put into the directory of a run that differs in one number is refused and left alone."""
    first, second = write_spec(tmp_path, seed=0), write_spec(tmp_path, seed=1)
    assert first.parent != second.parent
    assert train_until(first, _PLACES["in the middle of an epoch"])
    shutil.copytree(first.parent / "checkpoints", second.parent / "checkpoints")
    before = {path: path.read_bytes() for path in (second.parent / "checkpoints").iterdir()}
    with pytest.raises(ValueError, match=f"belongs to run {tiny.TINY.run_id}, not to .*; give it its own"):
        train_run(load_spec(second))
    assert {path: path.read_bytes() for path in (second.parent / "checkpoints").iterdir()} == before


def die_before_saving(spec: Path, epoch: int) -> None:
    """Trains, and is killed once an epoch's record is written and its checkpoint is not."""
    save = Checkpoints.save

    def kill(self: Checkpoints, values: dict[str, Any], **place: int) -> None:
        if place == {"epoch": epoch, "step": 0}:
            os.kill(os.getpid(), signal.SIGKILL)
        save(self, values, **place)

    Checkpoints.save = kill  # type: ignore[method-assign]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with run_threads():
        train_run(load_spec(spec))


@pytest.mark.slow
def test_fault_04_records_past_the_checkpoint_are_cut_back(tmp_path: Path) -> None:
    whole, spec = write_spec(tmp_path / "whole"), write_spec(tmp_path / "killed")
    train_whole(whole)
    assert in_child(die_before_saving, spec, 2) == -signal.SIGKILL
    assert _epochs(spec.parent / "metrics.jsonl") == [1, 2]
    assert position(spec.parent) == (1, 0)
    assert train_until(spec, 1)  # resumes, and is stopped before it does anything
    assert _epochs(spec.parent / "metrics.jsonl") == [1]
    train_whole(spec)
    assert_equal(contents(spec.parent), contents(whole.parent))
    for name in ("metrics.jsonl", "timing.jsonl"):
        assert _epochs(spec.parent / name) == [1, 2, 3]


def _epochs(path: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in path.read_text(encoding="utf-8").splitlines()]
