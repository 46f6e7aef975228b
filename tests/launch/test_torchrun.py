"""What the process that watches a run's trainers makes of how they ended."""

import json
import signal
from pathlib import Path

import pytest

from gnexp.launch import torchrun
from gnexp.runs.directory import RunDirectory
from gnexp.runs.status import FAILED, PREEMPTED
from gnexp.system.exit_codes import EXIT_FAILED, EXIT_PEER_LOST, EXIT_PREEMPTED, EXIT_USER_ERROR, exit_code_of

KILLED = -signal.SIGKILL


@pytest.mark.parametrize(
    ("exit_codes", "status", "code", "said"),
    [
        (
            {0: EXIT_PEER_LOST, 1: KILLED},
            None,
            EXIT_FAILED,
            "gnexp: process 1 of the run was ended by SIGKILL",
        ),
        ({0: -signal.SIGTERM, 1: EXIT_FAILED}, FAILED, EXIT_FAILED, ""),
        ({0: EXIT_PEER_LOST, 1: EXIT_PEER_LOST}, FAILED, EXIT_FAILED, ""),
        ({0: EXIT_PEER_LOST, 1: EXIT_USER_ERROR}, FAILED, EXIT_USER_ERROR, "gnexp: process 1: no such image"),
        ({0: EXIT_USER_ERROR, 1: EXIT_USER_ERROR}, FAILED, EXIT_USER_ERROR, ""),
        ({0: EXIT_PREEMPTED, 1: EXIT_PREEMPTED}, PREEMPTED, EXIT_PREEMPTED, ""),
        ({0: EXIT_PREEMPTED, 1: EXIT_PREEMPTED}, FAILED, EXIT_FAILED, ""),
    ],
)
def test_the_one_that_ended_for_a_reason_of_its_own_is_the_cause(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    exit_codes: dict[int, int],
    status: str | None,
    code: int,
    said: str,
) -> None:
    directory = RunDirectory(tmp_path)
    if status is not None:
        directory.status.write_text(
            json.dumps({"status": status, "message": "no such image"}), encoding="utf-8"
        )
    assert torchrun._cause(exit_codes, directory) == code
    error = capsys.readouterr().err
    assert error.startswith(said) and error.count("\n") == bool(said)


def test_one_that_is_stopped_before_it_has_started_any_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert torchrun._tell_stopped(signal.SIGINT) == exit_code_of(signal.SIGINT)
    assert capsys.readouterr().err == "gnexp: stopped; the same command goes on from the last checkpoint\n"
