"""The benchmark of the GN op prints no speed of what is not float64's; its GPU part is tried on tiny shapes here."""

import argparse
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from gnexp.config import ModelConfig
from tests.benchmarks.benchmark import load_benchmark

CPU = torch.device("cpu")
TINY = ModelConfig(name="tiny", blocks=(1, 1), widths=(8, 16), default_num_groups=4)


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    threads = torch.get_num_threads()
    yield load_benchmark("bench_ops")
    torch.set_num_threads(threads)


def rows(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, object]], str]:
    shapes = [bench.Row("small", (2, 8, 3, 3), 4, add) for add in (False, True)]
    found = bench.cpu_rows(shapes, argparse.Namespace(threads=[1], rounds=2, burst=1e-4))
    return found, capsys.readouterr().out


def test_it_measures_both_operations(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    found, out = rows(bench, capsys)
    assert [row["op"] for row in found] == ["GN+ReLU", "GN+add+ReLU"]
    assert all(row["gnexp_ms"] > 0 and row["gn_ratio"]["median"] > 0 and row["n"] == 2 for row in found)
    assert "all: median ratio" in out and "WRONG" not in out


@pytest.mark.parametrize("fault", ["relu", "gradient", "nan"])
def test_no_speed_of_what_is_wrong(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    module = sys.modules["ops_rows"]
    right = module.group_norm

    def group_norm(x: torch.Tensor, *arguments: object) -> torch.Tensor:
        if fault == "relu":
            return right(x, *arguments[:5], False, *arguments[6:])
        y = right(x, *arguments)
        factor = 1.01 if fault == "gradient" else float("nan")
        y.register_hook(lambda dy: dy * factor)
        return y

    monkeypatch.setattr(module, "group_norm", group_norm)
    found, out = rows(bench, capsys)
    assert all("gnexp's " in row["wrong"] and "gnexp_ms" not in row for row in found)
    assert out.count("WRONG") == 2 and "median ratio" not in out


def test_the_gpu_part_on_a_cpu(bench: ModuleType) -> None:
    gpu = sys.modules["ops_gpu"]
    for row in (bench.Row("resnet50", (2, 8, 4, 4), 4, True), bench.Row("video", (1, 8, 2, 4, 4), 4, False)):
        found = gpu.measure(row, CPU, 2, gpu.clock_timer, impl="composed", compiler="aot_eager")
        assert [result["column"] for result in found] == [
            "native autocast", "native bf16", "compiled", "BN", "BN compiled", "fused",
        ]  # fmt: skip
        assert not [result["wrong"] for result in found if "wrong" in result]
        assert all(result["backward_warm_ms"]["median"] > 0 for result in found)
    steps = gpu.resnet_steps(CPU, 2, gpu.clock_timer, ("composed", "native"), TINY, (2, 16))
    assert [step["impl"] for step in steps] == ["composed", "native"]
    assert all(step["ms"]["median"] > 0 for step in steps)


def test_the_byte_model(bench: ModuleType) -> None:
    model = sys.modules["ops_model"]
    norms = model.resnet50_norms()
    assert len(norms) == 53 and sum(norm.values for norm in norms) == 11_113_984
    found = {row["path"]: row["gb"] for row in model.model()}
    # shared/reference/group_norm_op.md has these, counted by hand
    assert found["floor, mask from y"] == 4.62 and found["fused, two stages everywhere"] == 6.75
    assert found["native bf16, NCHW, + add + ReLU"] == 9.82
