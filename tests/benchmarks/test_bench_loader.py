"""The benchmark of the loader reports no speed where its images are not those of the plain way."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from gnexp.data.dataset import Batch
from tests.benchmarks.benchmark import load_benchmark


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_benchmark("bench_loader")


def test_it_measures_every_pipeline(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_loader.py", "--images", "9", "--rounds", "1"])
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(lines[-1])
    assert [row["pipeline"] for row in found["rows"]] == [
        "gnexp, exact",
        "gnexp, decoder=scaled",
        "torchvision, with jitter",
        "torchvision, without jitter",
        "decoding alone",
    ]
    assert all(row["images_per_second_per_core"] > 0 for row in found["rows"])
    assert sum(line.startswith("| ") for line in lines) == 1 + len(found["rows"])


def spoil_values(batch: Batch) -> Batch:
    return dataclasses.replace(batch, images=batch.images * 1.001)


def spoil_with_nan(batch: Batch) -> Batch:
    return dataclasses.replace(batch, images=torch.full_like(batch.images, torch.nan))


@pytest.mark.parametrize("spoil", [spoil_values, spoil_with_nan])
def test_another_color_ends_it(bench: ModuleType, tmp_path: Path, spoil: Callable[[Batch], Batch]) -> None:
    bench.save_photographs(tmp_path, {"train": 8, "val": 2})
    config = bench.config_of(tmp_path)
    dataset = bench.build_dataset(config, torch.device("cpu"))
    paths = sorted(str(path) for path in (tmp_path / "train").glob("*/*.jpg"))
    bench.check(dataset, config, paths)
    spoiled: Any = SimpleNamespace(train_batches=lambda *key: map(spoil, dataset.train_batches(*key)))
    with pytest.raises(SystemExit, match="the affine map and the steps differ by"):
        bench.check(spoiled, config, paths)
    with pytest.raises(SystemExit, match=r"the crops of .* differ by .* levels in the mean"):
        bench.check(dataset, config, paths[::-1])
