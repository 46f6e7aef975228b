"""The benchmark of the step reports no speed where the two sides do not compute the same."""

from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch

from gnexp.compose.composer import Composer
from gnexp.config import RunConfig
from gnexp.config.keys import group_options
from gnexp.engine.state import State, build
from gnexp.nn import rms_norm
from gnexp.ops.rms import rms_norm as ops_rms_norm
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


@pytest.mark.parametrize("norm", ["bn", "gn"])
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


@pytest.mark.parametrize("norm", group_options("norm"))
def test_a_norms_step_is_that_of_its_equations(bench: ModuleType, norm: str) -> None:
    load_benchmark("step_norms").check_equations(build(run_of(norm), torch.device("cpu")))


def test_a_norm_that_is_not_its_equations_ends_it(bench: ModuleType) -> None:
    state = build(run_of("frn"), torch.device("cpu"))
    norms = load_benchmark("step_norms")
    wrong = mock.patch.object(rms_norm, "rms_norm", lambda *x, **more: 1.01 * ops_rms_norm(*x, **more))
    with wrong, pytest.raises(SystemExit, match="frn at 2: its equations differ by"):
        norms.check_equations(state)
