"""What conf/ says of results."""

from pathlib import Path

import pytest

from gnexp.compose import exhibits


def test_a_list_of_stale_numbers_may_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stale.yaml").write_text("# all have been made again\n", encoding="utf-8")
    monkeypatch.setattr(exhibits, "conf_dir", lambda: tmp_path)
    assert exhibits.load_stale() == []
