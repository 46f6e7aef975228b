"""Fault 5: whatever asks a run to stop, whenever and to whom: it saves, says one line, and goes on bit for bit."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from gnexp.engine.checkpoint import Checkpoints
from gnexp.runs.directory import RunDirectory
from gnexp.runs.status import FAILED, Status
from gnexp.system.signals import STOPPING
from tests.faults import tiny
from tests.faults.started import ROOT, Started, children_of, steps_saved, trainer, wait_until
from tests.faults.tiny import CPU, assert_equal, contents, train_whole, write_spec
from tests.warm import crowding

LINE = "gnexp: stopped; the same command goes on from the last checkpoint"


def code_of(number: int) -> int:
    return 130 if number == signal.SIGINT else 75


@pytest.mark.slow
@pytest.mark.parametrize("to", ["process", "group"])
def test_fault_05_every_signal_in_turn(tmp_path: Path, to: str) -> None:
    """One run in seven segments. In a group its two loader processes are asked as well, and must not stop it."""
    photographs = tiny.photographs(tmp_path / "photographs")
    changes = {
        "data": dataclasses.replace(photographs, loader_workers=2 if to == "group" else 0),
        "checkpoint_minutes": 0.0,
        "recipe": dataclasses.replace(tiny.TINY.recipe, epochs=6),
    }
    whole, spec = write_spec(tmp_path / "whole", **changes), write_spec(tmp_path / "often", **changes)
    train_whole(whole)
    for number in STOPPING:
        with trainer(spec) as process:
            process.wait_for_steps(spec.parent, steps_saved(spec.parent) + 1)
            if to == "group":
                os.killpg(process.pid, number)
            else:
                process.send(number)
            assert process.wait() == (code_of(number), [LINE])
        assert steps_saved(spec.parent) < 24, "ended before all signals were tried"
    with trainer(spec) as process:
        assert process.wait() == (0, [])
    assert_equal(contents(spec.parent), contents(whole.parent))


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_fault_05_ctrl_c_while_a_checkpoint_is_written(tmp_path: Path, times: int) -> None:
    """Once: it is written to its end. Twice: it is dropped at once, and the one before is there."""
    spec = write_spec(tmp_path, checkpoint_minutes=0.0)
    folder = spec.parent / "checkpoints"
    with trainer(spec, seconds_of_fsync=1.0) as process:
        wait_until(lambda: list(folder.glob("*step000000001.pt")), "the first checkpoint")
        wait_until(lambda: list(folder.glob(".*step000000002.pt.*.tmp")), "the second being written")
        process.send(signal.SIGINT)
        if times == 2:
            time.sleep(0.6)  # less is one key press that arrives twice
            process.send(signal.SIGINT)
        assert process.wait() == (130, [LINE])
    # Once: the next step is where it finds that it was asked to stop.
    assert steps_saved(spec.parent) == (3 if times == 1 else 1)
    assert not list(spec.parent.glob("**/.*.tmp"))
    values, problems = Checkpoints(RunDirectory(spec.parent)).load(CPU)
    assert values is not None and problems == []


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("trainer train", signal.SIGINT),
        pytest.param("trainer train", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("trainer train", signal.SIGUSR2, marks=pytest.mark.slow),
        pytest.param("torchrun 2", signal.SIGINT, marks=pytest.mark.slow),
        ("torchrun 2", signal.SIGTERM),
    ],
)
def test_fault_05_during_the_import_of_torch(tmp_path: Path, module: str, number: int) -> None:
    spec = write_spec(tmp_path, processes=2 if module == "torchrun 2" else 1)
    process = subprocess.Popen(
        [sys.executable, "-m", *f"gnexp.launch.{module}".split(), str(spec)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )

    def is_importing() -> bool:
        assert process.poll() is None, process.communicate()
        return "libtorch" in Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")

    wait_until(is_importing, "the import", 30)
    assert not (spec.parent / "log.txt").exists() and not children_of(process.pid)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30 * crowding())
    assert (process.returncode, errors.splitlines()) == (code_of(number), [LINE])


def test_fault_05_no_import_can_swallow_it() -> None:
    """Torch's has callbacks whose exceptions go nowhere, and places that make another of what they catch."""
    code = (
        "import contextlib, os, signal\n"
        "from gnexp.system.signals import Stopper\n"
        "stopper = Stopper()\n"
        "stopper.install()\n"
        "with stopper.leaving(lambda number: 100 + number), contextlib.suppress(BaseException):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 115


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Started]:
    """The first process of two, told as by our torchrun, that has joined: the second never comes."""
    spec = write_spec(tmp_path, processes=2)
    Status(RunDirectory(spec.parent)).say(FAILED, message="of an earlier segment")
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "RANK": "0", "WORLD_SIZE": "2"}
    told |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "LOCAL_RANK": "0", "GNEXP_TORCHRUN": "1"}
    with trainer(spec, **told) as process:
        keys = ("gnexp/joins/0", "/worker/attempt_0/gnexp/joins/0")  # the latter in older torch
        wait_until(lambda: any(store.check([key]) for key in keys), "its joining", 30)
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_fault_05_while_it_waits_for_another_that_never_comes(waiting: Started, number: int) -> None:
    waiting.send(number)
    assert waiting.wait(5) == (code_of(number), [LINE])


def test_fault_05_by_torchrun_since_another_has_failed(waiting: Started, tmp_path: Path) -> None:
    """It has nothing to say beside what the other says."""
    (directory,) = (path for path in tmp_path.iterdir() if path.is_dir())
    Status(RunDirectory(directory)).say(FAILED, message="process 1 needs a GPU of its own")
    waiting.send(signal.SIGTERM)
    assert waiting.wait(5) == (75, [])
