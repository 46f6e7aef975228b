"""The benchmark of the step reports no speed where the two sides do not compute the same."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from gnexp.compose.composer import Composer
from gnexp.config import RunConfig
from gnexp.engine.state import State, build
from tests.benchmarks.benchmark import load_benchmark


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    module = load_benchmark("bench_step")
    vars(module)["NUM_IMAGES"] = 64
    return module


def run_of(norm: str) -> RunConfig:
    size = ["data.num_train=64", "data.num_val=10", "data.sha256=null"]
    return Composer().run([f"norm={norm}", "batch=2", *size])


def check(bench: ModuleType, run: RunConfig, spoil: Callable[[State], Any] | None = None) -> None:
    state = build(run, torch.device("cpu"))
    if spoil is not None:
        spoil(state)
    for user in bench.users_of(run):
        bench.check_equal(state, user, bench.Scenes(run, flip=0.5).images)


@pytest.mark.parametrize("norm", ["bn", "sync_bn", "gn"])
def test_both_sides_compute_the_same(bench: ModuleType, norm: str) -> None:
    check(bench, run_of(norm))


def spoil_gradient(name: str, factor: float) -> Callable[[State], Any]:
    return lambda state: state.model.get_parameter(name).register_hook(lambda gradient: gradient * factor)


@pytest.mark.parametrize(
    "spoil",
    [
        # Behind the last gamma of a block, which starts at 0.
        spoil_gradient("layer1.0.conv1.weight", 1.01),
        spoil_gradient("layer4.0.bn1.bias", 1.01),
        spoil_gradient("fc.weight", float("nan")),
    ],
    ids=["convolution", "beta", "nan"],
)
def test_a_wrong_gradient_ends_it(bench: ModuleType, spoil: Callable[[State], Any]) -> None:
    with pytest.raises(SystemExit, match="the two sides differ by"):
        check(bench, run_of("gn"), spoil)
