"""Processes that torchrun or srun has started instead of gnexp."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gnexp.cli import main as cli
from gnexp.system.outer import outer_group
from tests.warm import crowding

ROOT = Path(__file__).parents[2]
SRUN = {
    "SLURM_PROCID": "1",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_JOB_ID": "20077",
}


def test_alone_is_no_group() -> None:
    assert outer_group({}) is None
    # A batch script, and a step of one task such as submitit's, are no group either.
    assert outer_group({"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_ID": "1"}) is None
    assert outer_group({**SRUN, "SLURM_STEP_NUM_TASKS": "1"}) is None


def test_torchruns_words_are_taken_as_they_are() -> None:
    group = outer_group({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "3"})
    assert group is not None
    assert (group.starter, group.rank, group.world_size, group.environment) == ("torchrun", 3, 8, {})


def test_sruns_words_become_torchs() -> None:
    group = outer_group(SRUN)
    assert group is not None and (group.starter, group.rank, group.world_size) == ("srun", 1, 2)
    assert group.environment == {
        "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "20077",
    }  # fmt: skip


def test_each_step_of_a_job_has_its_port() -> None:
    """Two runs of one job may be side by side on one machine."""
    ports = []
    for step in ("0", "1", "2"):
        group = outer_group({**SRUN, "SLURM_STEP_ID": step})
        assert group is not None
        ports.append(group.environment["MASTER_PORT"])
    assert ports[0] == "20077" and len(set(ports)) == 3  # the first, as without a SLURM_STEP_ID
    assert all(1024 < int(port) < 65536 for port in ports)


def test_the_first_machine_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's own program spells its lists out; without it the user is asked."""
    several = {**SRUN, "SLURM_STEP_NODELIST": "gpu[07-09,12]"}
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"MASTER_ADDR must be the name of the first machine of gpu\[07-09,12\]"
    ):
        outer_group(several)
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho gpu07\necho gpu08\n", encoding="utf-8")
    (tmp_path / "scontrol").chmod(0o755)
    group = outer_group(several)
    assert group is not None and group.environment["MASTER_ADDR"] == "gpu07"
    assert outer_group({**several, "MASTER_ADDR": "here"}).environment["MASTER_ADDR"] == "here"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sweep", "torchrun has started 2 processes, which are one run's: start gnexp sweep alone"),
        ("train scale=smoke processes=4 workers=4", "processes=4 must be the 2 that torchrun has started"),
        ("train scale=smoke workers=3", "processes must divide workers=3 evenly, got 2"),
    ],
)
def test_a_mistake_is_told_by_the_first_alone(
    words: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        assert cli.main(words.split()) == 2
        err = capfd.readouterr().err
        assert (message in err and err.count("\n") == 1) if rank == "0" else err == ""


@pytest.mark.dist
@pytest.mark.slow
def test_two_that_srun_has_started_make_one_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gnexp", "train", "scale=smoke", "norm=bn", "batch=4", "workers=4"]
    job = {**SRUN, "SLURM_JOB_ID": str(os.getpid())}  # which gives the port: another test run has its own
    group = [
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, **job, "SLURM_PROCID": rank, "SLURM_LOCALID": rank, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    said = [process.communicate(timeout=120 * crowding()) for process in group]
    assert [process.returncode for process in group] == [0, 0], said
    assert "2 processes with 2 workers each" in said[0][0]
    assert said[1] == ("", "")
    (run_dir,) = tmp_path.glob("runs/*")
    result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    assert result["status"] == "finished" and len(result["series"]) == 2
    assert not list(run_dir.glob(".rank*"))
