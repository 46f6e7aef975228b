"""The benchmark of video decoding reports no speed where its clips are not those of the plain loop."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.benchmarks.benchmark import load_benchmark


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_benchmark("bench_video")


@pytest.fixture
def short(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(bench, "NUM_FRAMES", 80)  # encoding is most of the time
    return bench


def test_it_measures_every_distance_of_keyframes(
    short: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["bench_video.py", "--videos", "1", "--rounds", "2", "--gops", "8", "80"]
    )
    short.main()
    lines = capsys.readouterr().out.splitlines()
    rows = json.loads(lines[-1])["rows"]
    assert [row["gop"] for row in rows] == [8, 80]
    assert rows[0]["mean_bytes"] > rows[1]["mean_bytes"]
    for row in rows:
        assert row["gnexp_ms"] > 0 and row["plain_ms"] > 0
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    assert sum(line.startswith("| ") for line in lines) == 1 + len(rows)


def test_another_frame_ends_it(short: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, paths = short.config_of(), short.save_videos(tmp_path, 1, 16)
    short.check(paths, config)
    plain = short.plain_clip
    monkeypatch.setattr(short, "plain_clip", lambda *key: plain(*key).roll(1, dims=1))  # one frame late
    with pytest.raises(SystemExit, match=r"the clips of .*016-000.mp4 differ in \d+\.\d% of their values"):
        short.check(paths, config)
