"""gnexp bench finds the repository's benchmarks and hands them their own options."""

import pytest

from gnexp.cli import bench


def test_which_there_are_is_said() -> None:
    with pytest.raises(ValueError, match=r"which benchmark\? gnexp bench NAME, one of .*startup.*transfer"):
        bench.main([])
    with pytest.raises(ValueError, match="unknown benchmark 'stratup': choose from .*; did you mean startup"):
        bench.main(["stratup"])


def test_a_benchmark_reads_its_own_options(capfd: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["startup", "--rounds", "many"]) == 2
    assert "argument --rounds: invalid int value: 'many'" in capfd.readouterr().err


def test_a_package_without_the_repository_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "benchmark_names", list)
    with pytest.raises(ValueError, match="the benchmarks come with gnexp's repository, not its package"):
        bench.main(["startup"])
