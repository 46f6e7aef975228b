"""What a run's status file says, and what is known where it says nothing."""

from pathlib import Path

import pytest

from gnexp.runs.directory import RunDirectory
from gnexp.runs.status import has_failed_since, read_message, read_status


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"status": 1, "message": 2}'])
def test_a_file_that_says_nothing_is_no_status(tmp_path: Path, content: str | None) -> None:
    directory = RunDirectory(tmp_path)
    if content is not None:
        directory.status.write_text(content, encoding="utf-8")
    assert read_status(directory) is None and read_message(directory) == ""
    assert not has_failed_since(directory, 0.0)


def test_a_failure_counts_from_the_moment_on(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.status.write_text('{"status": "failed", "message": "a loss of NaN"}', encoding="utf-8")
    written = directory.status.stat().st_mtime
    assert has_failed_since(directory, written) and not has_failed_since(directory, written + 1)
    assert read_message(directory) == "a loss of NaN"
