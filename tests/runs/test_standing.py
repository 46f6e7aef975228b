"""Where runs stand, from outside: each state, killed ones, and what gnexp status prints of them."""

import json
import os
import re
import socket
import time

import pytest

from gnexp.cli import main as cli
from gnexp.cli import status as verb
from gnexp.runs.directory import RunDirectory
from gnexp.runs.standing import standing_of, standings
from gnexp.runs.status import FAILED, PREEMPTED, RUNNING, Status, write_error
from tests.experiments.runs import SMOKE, write_spec
from tests.sweep.sweeps import write_result

GONE = 2**22 + 1  # above the highest process number that Linux gives


def begun(runs, epochs=(), **changes):
    """A run's directory with a spec and the metrics of some epochs."""
    directory = RunDirectory(write_spec(runs, **changes).parent)
    lines = [json.dumps({"epoch": epoch, "val/top1_error": error}) for epoch, error in enumerate(epochs, 1)]
    directory.metrics.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return directory


def write_status(directory, **values):
    whole = {"status": RUNNING, "pid": os.getpid(), "host": socket.gethostname(), "epoch": 0, "step": 0}
    directory.status.write_text(json.dumps(whole | values), encoding="utf-8")


@pytest.fixture
def runs(tmp_path):
    """One of each state."""
    folder = tmp_path / "runs"
    write_status(begun(folder, [30.0, 20.0], seed=0), epoch=2, step=5)
    Status(begun(folder, [31.0], seed=1)).say(PREEMPTED, epoch=1, step=0)
    Status(begun(folder, seed=2)).say(FAILED, message="the layer is odd")
    done = begun(folder, [30.0, 20.0, 10.0], seed=3)
    write_result(SMOKE, done.result, metrics={"val/top1_error": 15.0})
    write_status(begun(folder, [40.0], seed=4), pid=GONE)
    write_error(begun(folder, seed=5), "out of memory")
    (folder / "notes").mkdir()
    return folder


def test_each_state(runs):
    found = {int(s.directory.name.rpartition("seed")[2]): s for s in standings(runs)}
    assert {seed: s.state for seed, s in found.items()} == {
        0: "running", 1: "preempted", 2: "failed", 3: "done", 4: "failed", 5: "failed",
    }  # fmt: skip
    assert (found[0].epoch, found[0].epochs, found[0].step, found[0].score) == (2, 3, 5, "20.0 % error")
    assert found[3].score == "15.0 % error"  # the reported one, not the last
    assert [found[seed].message for seed in (2, 5)] == ["the layer is odd", "out of memory"]
    assert found[4].message.startswith("killed: ")
    assert all(abs(time.time() - s.seen) < 60 for s in found.values())


def test_of_another_host_nobody_can_tell_that_a_process_has_ended(tmp_path):
    directory = begun(tmp_path)
    write_status(directory, pid=GONE, host="another")
    standing = standing_of(directory)
    assert standing is not None and standing.state == "running"


def test_a_torn_file_is_no_error(runs):
    for name in ("status.json", "metrics.jsonl", "spec.json", "result.json"):
        for path in runs.glob(f"*/{name}"):
            path.write_text('{"epoch', encoding="utf-8")
    assert len(standings(runs)) == 6


def test_the_table(runs, capsys, monkeypatch):
    monkeypatch.chdir(runs.parent)
    assert cli.main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.split("  +", lines[0]) == ["state", "epoch", "error so far", "last sign of life", "run"]
    rows = [re.split("  +", line) for line in lines[1:-1]]
    assert [row[0] for row in rows] == ["running", "preempted", "failed", "failed", "failed", "done"]
    assert rows[0][1:3] == ["2/3 + 5 steps", "20.0 % error"] and rows[0][3].endswith(" s ago")
    assert any(row[4].endswith("seed2: the layer is odd") for row in rows)
    assert lines[-1] == "6 runs: 1 running, 1 preempted, 3 failed, 1 done"
    assert cli.main(["status", str(runs)]) == cli.main(["status", f"runs_dir={runs}"]) == 0
    (runs.parent / "empty").mkdir()
    capsys.readouterr()
    assert cli.main(["status", "empty"]) == 0
    assert capsys.readouterr().out == "no runs in empty\n"


def test_what_is_no_folder_is_one_line(tmp_path, capsys):
    assert cli.main(["status", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["status", str(tmp_path), "odd=1"]) == 2


def test_followed_without_a_terminal_a_change_is_a_line(runs, capsys, monkeypatch):
    (running,) = runs.glob("*seed0")
    looks = []

    def sleep(seconds):
        looks.append(capsys.readouterr().out.splitlines())
        if len(looks) == 3:
            raise KeyboardInterrupt
        if len(looks) == 1:
            with open(running / "metrics.jsonl", "a", encoding="utf-8") as file:
                file.write('{"epoch": 3, "val/top1_error": 19.0}\n')

    monkeypatch.setattr(verb.time, "sleep", sleep)
    assert cli.main(["status", str(runs), "--watch"]) == 0
    assert [len(look) for look in looks] == [6, 1, 0]
    assert looks[1] == [f"{running.name}: running, 3/3, 19.0 % error"]
