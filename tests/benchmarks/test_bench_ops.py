"""The benchmark of the GN op prints no speed of what is not float64's; its GPU part is tried on tiny shapes here."""

import argparse
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from tests.benchmarks.benchmark import load_benchmark

CPU = torch.device("cpu")


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


def measure_gpu_part(bench: ModuleType, setting: str, compiler: str) -> dict[str, dict[str, object]]:
    """A row of the GPU's part by torch's operators: column -> what was found."""
    gpu = sys.modules["ops_gpu"]
    (chosen,) = (found for found in gpu.SETTINGS if str(found) == setting)
    row = bench.Row("video", (1, 8, 2, 4, 4), 4, True)
    found = gpu.measure(row, CPU, 2, 10.0, chosen, impl="composed", compiler=compiler)
    return {result["column"]: result for result in found}


@pytest.mark.parametrize("setting", ["bf16 channels_last", "fp32 NCHW"])
def test_the_gpu_part_on_a_cpu(bench: ModuleType, setting: str) -> None:
    found = measure_gpu_part(bench, setting, "aot_eager")
    half = ["native autocast"] if setting.startswith("bf16") else []
    assert list(found) == ["native", "compiled", "BN", "gnexp", *half]
    assert not [result["wrong"] for result in found.values() if "wrong" in result]
    # 8 whole tensors of 256 values move, at least, and the copy's speed is 10 GB/s
    least_ms = 8 * (2 if half else 4) * 256 / 10e6
    for result in found.values():
        assert result["x_floor"] == pytest.approx(result["cold_ms"] / least_ms, rel=0.1, abs=0.01)
        assert result["backward_warm_ms"]["low"] >= 0


def test_a_compiler_that_fails_costs_its_own_row_alone(bench: ModuleType) -> None:
    def broken(graph: object, inputs: object) -> object:
        raise RuntimeError("no such instruction")

    found = measure_gpu_part(bench, "fp32 NCHW", broken)  # type: ignore[arg-type]
    assert "no such instruction" in str(found["compiled"]["wrong"]) and "cold_ms" not in found["compiled"]
    assert all(found[column]["cold_ms"] for column in ("native", "BN", "gnexp"))


def test_what_the_time_does_not_reach_is_named(bench: ModuleType) -> None:
    gpu = sys.modules["ops_gpu"]
    shapes = [bench.Row("resnet50", (2, 8, 4, 4), 4, True)]
    copy, *rest = gpu.rows(CPU, 2, shapes, seconds=0.0, impl="composed", compiler="aot_eager")
    assert copy["gb_per_s"]["median"] > 0
    assert [row["setting"] for row in rest] == [str(setting) for setting in gpu.SETTINGS]
    assert {row["left_out"] for row in rest} == {"no time left"}


def test_the_spread_lies_within_the_values(bench: ModuleType) -> None:
    assert sys.modules["ops_rows"].spread([1.0, 3.0]) == {"median": 2.0, "low": 1.5, "high": 2.5}


def test_the_byte_model(bench: ModuleType) -> None:
    model = sys.modules["ops_model"]
    norms = model.resnet50_norms()
    assert len(norms) == 53 and sum(norm.values for norm in norms) == 11_113_984
    found = {row["path"]: row["gb"] for row in model.model()}
    # shared/reference/group_norm_op.md has these, counted by hand
    assert found["floor, mask from y"] == 4.62 and found["fused, two stages everywhere"] == 6.75
    assert found["native bf16, NCHW, + add + ReLU"] == 9.82
