"""Contracts that hold for every norm under conf/norm, and what only batch or group normalization promises."""

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
PER_BATCH = ("bn", "brn", "sync_bn")  # an image's output depends on its batch
# Where the input's mean stays in the output; EvoNorm without its nonlinearity is a fixed map.
KEEPS_MEAN = ("none", "frozen_bn", "frn", "grms", "evonorm_s0")
SHAPES = [(6, 8), (6, 8, 5), (6, 8, 4, 3), (6, 8, 2, 3, 2)]


def make(path: Path, channels: int = 8, *, workers: int = 1, relu: bool = False, seed: int = 0) -> NormAct:
    config = norm_config(**yaml.safe_load(path.read_text(encoding="utf-8"))).resolved(num_groups=2)
    norm = norm_factory(config, workers)(channels, relu=relu).double()
    generator = torch.Generator().manual_seed(seed)
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
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradcheck(path: Path, shape: tuple[int, ...]) -> None:
    if has_one_value(path, shape):
        pytest.skip("one value per channel; its error has a test of its own")
    norm = make(path)
    parameters = dict(norm.named_parameters())

    def call(x: torch.Tensor, residual: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(norm, dict(zip(parameters, values, strict=True)), (x, residual))

    inputs = [randn(*shape), randn(*shape, seed=2), *(p.detach().clone() for p in parameters.values())]
    assert torch.autograd.gradcheck(call, [value.requires_grad_() for value in inputs])


@all_norms
def test_batch_independence(path: Path) -> None:
    norm, x = make(path), randn(6, 8, 4, 3)
    alone = norm(x[2:3]) if path.stem not in PER_BATCH else norm(x[2:4])[:1]
    difference = float((norm(x)[2:3] - alone).detach().abs().max())
    if path.stem in PER_BATCH:
        assert difference > 1e-3, "batch normalization must depend on its batch in training"
    else:
        assert difference < 1e-12


@all_norms
def test_residual_and_relu(path: Path) -> None:
    plain, with_relu = make(path), make(path, relu=True)
    x, residual = randn(6, 8, 4, 3), randn(6, 8, 4, 3, seed=2)
    before = residual.clone()
    summed = plain(x) + residual
    tau = dict(with_relu.named_parameters()).get("tau")
    expected = summed.relu() if tau is None else torch.maximum(summed, tau.view(1, -1, 1, 1))
    torch.testing.assert_close(with_relu(x, residual=residual), expected, rtol=0, atol=0)
    assert torch.equal(residual, before), "the residual belongs to the caller"


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
def test_memory_format_is_kept(path: Path) -> None:
    x = randn(6, 8, 4, 3).contiguous(memory_format=torch.channels_last)
    norm = make(path)
    y = norm(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, make(path)(x.contiguous()), rtol=0, atol=1e-12)


@all_norms
def test_state_dict_round_trip(path: Path) -> None:
    norm, other = make(path, workers=2), make(path, workers=2, seed=9)
    x = randn(6, 8, 4, 3)
    norm(x)
    other.load_state_dict(norm.state_dict())
    torch.testing.assert_close(other.eval()(x), norm.eval()(x), rtol=0, atol=0)


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


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="norm.kind must be one of gn, gn_ws, bn, .*none, got wn"):
        norm_factory(norm_config(kind="wn"), 1)
