"""FRN, EvoNorm-S0, layer norm per position and group RMS: against timm, against the equations, and in blocks."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import timm.layers
import torch
from torch import nn

from gnexp.config import norm_config
from gnexp.models.resnet import BasicBlock
from gnexp.nn.norm_act import NormAct, plain_conv
from gnexp.nn.norms import conv_factory, name_norms, norm_factory
from gnexp.ops import reference
from gnexp.ops.channel_layer_norm import channel_layer_norm
from gnexp.ops.evonorm import evonorm_s0
from gnexp.ops.rms import rms_norm
from tests.grids import keep

SHAPES = [(3, 8, 4, 5), (2, 8, 7, 6), (2, 8, 3, 2, 2), (2, 8, 3, 4, 3), (5, 8, 1, 2)]
KINDS = ("frn", "evonorm_s0", "ln2d", "grms")
GROUPS = 2


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(kind: str, channels: int = 8, *, relu: bool = True) -> NormAct:
    norm = norm_factory(norm_config(kind=kind).resolved(GROUPS), 1)(channels, relu=relu).double()
    with torch.no_grad():
        for index, parameter in enumerate(norm.parameters()):
            parameter.copy_(randn(channels, seed=10 + index))
    return norm


def gradients(y: torch.Tensor, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    return list(torch.autograd.grad(y, inputs, randn(*y.shape, seed=99)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
def test_fast_paths_are_the_reference(shape: tuple[int, ...], last: bool) -> None:
    layout = torch.contiguous_format
    if last:
        layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    x, residual = (randn(*shape, seed=s).contiguous(memory_format=layout).requires_grad_() for s in (1, 2))
    weight, bias, third = (randn(8, seed=s).requires_grad_() for s in (3, 4, 5))
    norm: tuple[Any, ...] = (weight, bias, 1e-3)
    calls: list[tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]] = [
        (channel_layer_norm(x, *norm), reference.channel_layer_norm(x, *norm), [x, weight, bias]),
        (rms_norm(x, 2, *norm), reference.rms_norm(x, 2, *norm), [x, weight, bias]),
    ]
    for groups in (1, 2, 8):
        added = [x, weight, bias, residual]
        for rest, inputs in (((residual, True), added), ((residual, False, third), [*added, third])):
            calls.append(
                (rms_norm(x, groups, *norm, *rest), reference.rms_norm(x, groups, *norm, *rest), inputs)
            )
        v = (x, groups, third, *norm)
        calls.append((evonorm_s0(*v), reference.evonorm_s0(*v), [x, third, weight, bias]))
    for found, expected, inputs in calls:
        assert found.stride() == x.stride() and found.is_leaf is False
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
        for ours, theirs in zip(gradients(found, inputs), gradients(expected, inputs), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def equations(kind: str, x: np.ndarray, p: dict[str, np.ndarray], eps: float) -> np.ndarray:
    """Each norm with its nonlinearity, one value after another, written from the papers."""
    y = np.empty_like(x)
    num_images, channels = x.shape[:2]
    size = channels // GROUPS
    for n in range(num_images):
        for c in range(channels):
            first = c // size * size
            group = x[n, first : first + size]
            for at in np.ndindex(x.shape[2:]):
                value, column = x[(n, c, *at)], x[(n, slice(None), *at)]
                if kind == "frn":
                    z = value / np.sqrt(np.mean(x[n, c] ** 2) + eps)
                    y[(n, c, *at)] = max(p["weight"][c] * z + p["bias"][c], p["tau"][c])
                    continue
                if kind == "evonorm_s0":
                    z = value / (1 + np.exp(-p["v"][c] * value)) / np.sqrt(np.var(group) + eps)
                    y[(n, c, *at)] = p["weight"][c] * z + p["bias"][c]
                    continue
                if kind == "grms":
                    z = value / np.sqrt(np.mean(group**2) + eps)
                else:
                    z = (value - np.mean(column)) / np.sqrt(np.var(column) + eps)
                y[(n, c, *at)] = max(p["weight"][c] * z + p["bias"][c], 0)
    return y


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 8, 3, 2), (2, 8, 2, 3, 2)], ids=str)
def test_is_its_papers_equations(kind: str, shape: tuple[int, ...]) -> None:
    norm, x = make(kind), randn(*shape)
    eps = {"frn": 1e-6, "ln2d": 1e-6}.get(kind, 1e-5)
    parameters = {name: value.detach().numpy() for name, value in norm.named_parameters()}
    expected = equations(kind, x.numpy(), parameters, eps)
    np.testing.assert_allclose(norm(x).detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "theirs", "tolerance"),
    [
        # These two of timm's take their statistics in float32 whatever the input.
        ("frn", timm.layers.FilterResponseNormTlu2d(8, eps=1e-6), 1e-5),
        ("evonorm_s0", timm.layers.EvoNorm2dS0(8, groups=GROUPS, eps=1e-5), 1e-5),
        ("ln2d", nn.Sequential(timm.layers.LayerNorm2d(8, eps=1e-6), nn.ReLU()), 1e-12),
    ],
    ids=["frn", "evonorm_s0", "ln2d"],
)
def test_is_timms(kind: str, theirs: nn.Module, tolerance: float) -> None:
    ours, theirs = make(kind), theirs.double()
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data.copy_(parameter.data)
    x = randn(3, 8, 4, 5).requires_grad_()
    y, other = ours(x), theirs(x)
    torch.testing.assert_close(y, other, rtol=0, atol=tolerance)
    pairs = zip(
        gradients(y, [x, *ours.parameters()]), gradients(other, [x, *theirs.parameters()]), strict=True
    )
    for one, two in pairs:
        torch.testing.assert_close(one, two, rtol=10 * tolerance, atol=100 * tolerance)


def test_one_group_is_torchs_rms_norm() -> None:
    norm = norm_factory(norm_config(kind="grms", num_groups=1), 1)(8, relu=False).double()
    x = randn(3, 8, 4, 5)
    expected = torch.nn.functional.rms_norm(x, x.shape[1:], eps=1e-5)
    torch.testing.assert_close(norm(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_no_image_gives_no_image_and_gradients_of_0(kind: str) -> None:
    """A detector's image without a RoI."""
    norm, x = make(kind), torch.zeros(0, 8, 3, 3, dtype=torch.float64, requires_grad=True)
    y = norm(x)
    assert y.shape == x.shape
    assert not any(gradient.any() for gradient in gradients(y, list(norm.parameters())))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_with_its_nonlinearity(kind: str) -> None:
    norm = make(kind)
    parameters = dict(norm.named_parameters())
    inputs = [randn(3, 8, 2, 3), *(p.detach().clone() for p in parameters.values())]

    def call(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(norm, dict(zip(parameters, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, [value.requires_grad_() for value in inputs])


def test_without_a_nonlinearity_frn_has_no_threshold_and_evonorm_is_affine() -> None:
    x, per_channel = randn(3, 8, 4, 5), (1, -1, 1, 1)
    frn, evonorm = (make(kind, relu=False) for kind in ("frn", "evonorm_s0"))
    assert set(dict(frn.named_parameters())) == set(dict(evonorm.named_parameters())) == {"weight", "bias"}
    assert frn(x).min() < 0
    affine = x * evonorm.weight.view(per_channel) + evonorm.bias.view(per_channel)
    torch.testing.assert_close(evonorm(x), affine, rtol=0, atol=1e-15)
    residual = randn(3, 8, 4, 5, seed=7)
    summed = make("evonorm_s0").before_sum()
    assert "v" not in summed.state_dict()
    torch.testing.assert_close(summed(x, residual), (affine + residual).relu(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_whose_last_gamma_is_0_starts_as_the_identity(kind: str) -> None:
    factory = norm_factory(norm_config(kind=kind).resolved(GROUPS), 1)
    block = BasicBlock(8, 8, 1, factory, plain_conv).double()
    nn.init.zeros_(block.last_norm.weight)
    x = randn(3, 8, 4, 5).relu()  # what another block gives
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        ("frn", (3, 8, 1, 1), "layer 0: filter response normalization makes one value per channel its sign"),
        ("grms", (3, 2, 1, 1), "layer 0: one value per group normalizes to nothing"),
        ("evonorm_s0", (3, 2, 1, 1), "layer 0: one value per group normalizes to nothing"),
    ],
)
def test_too_few_values_are_refused_in_one_line(kind: str, shape: tuple[int, ...], message: str) -> None:
    model = nn.Sequential(make(kind, shape[1]))
    name_norms(model)
    with pytest.raises(ValueError, match=message) as caught:
        model(randn(*shape))
    assert "\n" not in str(caught.value)


def test_one_channel_and_odd_groups_are_refused_before_training() -> None:
    with pytest.raises(ValueError, match="layer 0: one channel per position"):
        name_norms(nn.Sequential(make("ln2d", 1)))
    for kind in ("grms", "evonorm_s0", "gn_ws"):
        odd = norm_factory(norm_config(kind=kind, num_groups=3), 1)(8)
        with pytest.raises(
            ValueError, match="layer 0: groups must divide its channels evenly, got C=8 and G=3"
        ):
            name_norms(nn.Sequential(odd))


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_keeps_statistics_in_float32(kind: str) -> None:
    """The mean square of values of 1000 is beyond float16."""
    norm = make(kind).float()
    x = (randn(3, 8, 4, 5) * 1000).half()
    y = norm(x)
    assert y.dtype == torch.float16
    torch.testing.assert_close(y.float(), norm(x.float()), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("kind", keep(["frn"], [*KINDS, "gn_ws"]))
def test_compiles_whole_copies_and_pickles(kind: str) -> None:
    conv = conv_factory(norm_config(kind=kind))(nn.Conv2d(4, 8, 3, padding=1)).double()
    net = nn.Sequential(conv, make(kind))
    x = randn(2, 4, 5, 5)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(x), net(x))
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), net(x), rtol=0, atol=1e-11)
    ours, theirs = (gradients(f(x), list(net.parameters())) for f in (net, compiled))
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


def test_the_equations_take_no_images() -> None:
    """torch.compile traces them, and a mask head may get no region of interest."""
    x, channels = torch.zeros(0, 8, 3, 2), torch.ones(8)
    assert reference.group_norm(x, 4, channels, channels, 1e-5).shape == x.shape
    assert reference.rms_norm(x, 4, channels, channels, 1e-5).shape == x.shape
    assert reference.evonorm_s0(x, 4, channels, channels, channels, 1e-5).shape == x.shape
