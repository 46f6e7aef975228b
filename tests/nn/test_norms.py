"""Beside gnexp.contracts: what gnexp's own norms promise of vectors, sequences, large means and impossible shapes."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from gnexp.config import NormConfig, norm_config
from gnexp.nn.batch_norm import BatchNormAct
from gnexp.nn.group_norm import GroupNormAct
from gnexp.nn.norm_act import NormAct
from gnexp.nn.norms import name_norms, norm_factory
from gnexp.ops import reference

CONF = Path(__file__).parents[2] / "conf"
NORM_FILES = sorted((CONF / "norm").glob("*.yaml"))
# Where the input's mean stays in the output; EvoNorm without its nonlinearity is a fixed map.
KEEPS_MEAN = ("none", "frozen_bn", "frn", "grms", "evonorm_s0")
SMALL_SHAPES = [(4, 8), (4, 8, 3), (4, 8, 2, 3), (4, 8, 2, 1, 2)]  # of what takes the square of them


def make(path: Path) -> NormAct:
    config = norm_config(**yaml.safe_load(path.read_text(encoding="utf-8"))).resolved(num_groups=2)
    norm = norm_factory(config, 1)(8, relu=False).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        if config.kind == "frozen_bn":  # what others learn it is given
            for buffer in norm.buffers():
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return norm


def randn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def has_one_value(path: Path, shape: tuple[int, ...]) -> bool:
    return path.stem in ("in", "frn") and len(shape) == 2


all_norms = pytest.mark.parametrize("path", NORM_FILES, ids=lambda path: path.stem)


@all_norms
@pytest.mark.parametrize("shape", SMALL_SHAPES, ids=str)
@pytest.mark.parametrize(
    "is_fast", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["fast", "whole"]
)
def test_gradcheck(path: Path, shape: tuple[int, ...], is_fast: bool) -> None:
    """Fast: along one direction of all inputs at once."""
    if has_one_value(path, shape):
        pytest.skip("one value per channel; its error has a test of its own")
    norm = make(path)
    parameters = dict(norm.named_parameters())

    def call(x: torch.Tensor, residual: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(norm, dict(zip(parameters, values, strict=True)), (x, residual))

    inputs = [randn(*shape), randn(*shape, seed=2), *(p.detach().clone() for p in parameters.values())]
    assert torch.autograd.gradcheck(call, [value.requires_grad_() for value in inputs], fast_mode=is_fast)


@all_norms
def test_large_mean(path: Path) -> None:
    if path.stem in KEEPS_MEAN[1:]:
        pytest.skip("its output moves with its input")
    x = randn(6, 8, 16, 16)
    expected = make(path)(x)
    shifted = make(path)(x + 1e3)
    if path.stem == "none":
        expected = expected + 1e3
    # float64 keeps 16 digits and the mean takes three of them
    torch.testing.assert_close(shifted, expected, rtol=0, atol=1e-9)


@all_norms
@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"]
)
def test_large_mean_in_float32(path: Path, memory_format: torch.memory_format) -> None:
    """mean/std 1e3 in single precision; torch's native channels_last group norm fails this by a wide margin."""
    if path.stem in KEEPS_MEAN:
        pytest.skip("nothing is normalized by the input's own mean")
    x = randn(4, 8, 16, 16) + 1e3
    expected = make(path)(x)
    found = make(path).float()(x.float().contiguous(memory_format=memory_format))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-3)


@all_norms
def test_repr_says_what_it_is(path: Path) -> None:
    text = repr(make(path))
    assert "8" in text and "relu=False" in text
    assert {
        "bn": "momentum=0.1",
        "sync_bn": "SyncBatchNormAct(8, workers=1",
        "brn": "r_max=1.5, d_max=0.5",
        "gn": "num_groups=2",
        "ln": "num_groups=1",
        "in": "num_groups=8",
        "none": "NoNorm",
        "gn_ws": "num_groups=2",
        "frn": "eps=1e-06",
        "evonorm_s0": "num_groups=2",
        "ln2d": "ChannelLayerNorm",
        "grms": "num_groups=2",
        "frozen_bn": "FrozenBatchNorm",
    }[path.stem] in text


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_group_norm_equals_the_reference(groups: int) -> None:
    norm = make(CONF / "norm" / "gn.yaml")
    assert isinstance(norm, GroupNormAct)
    norm.num_groups = groups
    x = randn(6, 8, 4, 3)
    expected = reference.group_norm(x, groups, norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(norm(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (norm_config(kind="gn", num_groups=3), "got C=8 and G=3"),
        (norm_config(kind="gn", channels_per_group=3), "got C=8 and C/G=3"),
        (norm_config(kind="gn", num_groups=16), "got C=8 and G=16"),
    ],
)
def test_impossible_groupings(config: NormConfig, expected: str) -> None:
    with pytest.raises(ValueError, match="evenly") as caught:
        name_norms(nn.Sequential(norm_factory(config, 1)(8)))
    message = str(caught.value)
    assert (
        message.startswith("layer 0: ") and expected in message and message.endswith("possible: 1, 2, 4, 8")
    )


def test_one_value_alone_is_an_error() -> None:
    batch_norm = norm_factory(norm_config(kind="bn", momentum=0.1), 4)(8)
    assert isinstance(batch_norm, BatchNormAct)
    with pytest.raises(ValueError, match="more than one value per channel and worker.*raise batch"):
        batch_norm(torch.zeros(4, 8, 1, 1))
    with pytest.raises(ValueError, match="multiple of workers=4, got 6"):
        batch_norm(torch.zeros(6, 8, 2, 2))
    with pytest.raises(ValueError, match="one value per group"):
        norm_factory(norm_config(kind="gn", channels_per_group=1), 1)(8)(torch.zeros(4, 8, 1, 1))


def test_group_norm_of_no_images() -> None:
    norm = norm_factory(norm_config(kind="gn", num_groups=2), 1)(8)
    assert norm(torch.zeros(0, 8, 3, 3)).shape == (0, 8, 3, 3)


def test_a_builder_of_a_package_that_does_not_import_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    config = norm_config(kind="none")
    monkeypatch.setattr(type(config), "builder", "not_there:build")
    with pytest.raises(ModuleNotFoundError):  # of gnexp's own it is a fault of ours, with its traceback
        norm_factory(config, 1)
    monkeypatch.setattr("gnexp.nn.norms.package_of", lambda kind: "my-norms 0.1")
    expected = "norm none of package my-norms 0.1 cannot be built: not_there:build does not import"
    with pytest.raises(ValueError, match=f"^{expected} .ModuleNotFoundError: .*; mend the package or choose"):
        norm_factory(config, 1)


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="norm.kind must be one of gn, gn_ws, bn, .*none, got wn"):
        norm_factory(norm_config(kind="wn"), 1)
