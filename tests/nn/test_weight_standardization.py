"""Convolutions with standardized weights: the equations, timm, where networks have them, and what stays as it was."""

from typing import Any

import pytest
import timm.layers
import torch
from torch import nn

from gnexp.config import norm_config
from gnexp.models.build import build_model
from gnexp.nn.norms import conv_factory, norm_factory
from gnexp.nn.pointwise import StridedPointwise, StridedPointwise3d
from gnexp.nn.weight_standardization import EPS, StandardizedConv2d, StandardizedConv3d
from gnexp.ops import reference
from gnexp.ops.weight_standardization import standardize
from tests.composing import COMPOSER
from tests.models.detection_cases import config_of, detector

GN_WS = norm_config(kind="gn_ws", num_groups=2)
STANDARDIZED = StandardizedConv2d | StandardizedConv3d


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_standardizes_as_the_reference_and_as_timm() -> None:
    conv = conv_factory(GN_WS)(nn.Conv2d(4, 6, 3, padding=1)).double()
    timms = timm.layers.StdConv2d(4, 6, 3, padding=1, bias=True, eps=EPS).double()
    timms.load_state_dict(conv.state_dict())  # names and shapes are torch's
    x = randn(2, 4, 5, 5)
    torch.testing.assert_close(conv(x), timms(x), rtol=0, atol=1e-12)
    plain = nn.functional.conv2d(x, reference.standardize_weight(conv.weight, EPS), conv.bias, padding=1)
    torch.testing.assert_close(conv(x), plain, rtol=0, atol=1e-12)
    ours, theirs = (torch.autograd.grad(c(x).square().sum(), list(c.parameters())) for c in (conv, timms))
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)
    rows = standardize(conv.weight, 1e-12).flatten(1)
    assert rows.mean(1).abs().max() < 1e-12 and (rows.var(1, unbiased=False) - 1).abs().max() < 1e-6
    assert torch.autograd.gradcheck(lambda w: standardize(w, EPS), [randn(3, 2, 2).requires_grad_()])


@pytest.mark.parametrize(
    ("conv", "shape"),
    [
        (nn.Conv2d(4, 6, 3, stride=2, groups=2), (2, 4, 7, 7)),
        (nn.Conv3d(4, 6, (3, 1, 1)), (2, 4, 5, 3, 3)),
        (StridedPointwise(4, 6, 1, 2, bias=False), (2, 4, 7, 7)),
        (StridedPointwise3d(4, 6, 1, (1, 2, 2), bias=False), (2, 4, 3, 5, 5)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_convolution_becomes_that_of_its_standardized_weight(
    conv: nn.Conv2d | nn.Conv3d, shape: tuple[int, ...]
) -> None:
    conv = conv.double()
    x, before = randn(*shape), {name: value.clone() for name, value in conv.state_dict().items()}
    plain = conv(x)
    found = conv_factory(GN_WS)(conv)
    assert isinstance(found, STANDARDIZED) and isinstance(found, type(conv).__mro__[1])
    assert all(torch.equal(before[name], value) for name, value in found.state_dict().items())
    y = found(x)
    assert y.shape == plain.shape and not torch.allclose(y, plain)
    with torch.no_grad():
        weight = reference.standardize_weight(found.weight, EPS)
        bias = found.bias if found.bias is not None else torch.zeros(6, dtype=torch.float64)
        call = nn.functional.conv2d if len(shape) == 4 else nn.functional.conv3d
        expected = call(x, weight, bias, found.stride, found.padding, found.dilation, found.groups)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)


def test_what_cannot_be_standardized_is_refused_in_one_line() -> None:
    make = conv_factory(GN_WS)
    with pytest.raises(ValueError, match="got a ConvTranspose2d; choose another norm="):
        make(nn.ConvTranspose2d(4, 6, 2))
    with pytest.raises(ValueError, match="one weight per output channel standardizes to 0"):
        make(nn.Conv2d(4, 4, 1, groups=4))


def test_other_norms_leave_convolutions_alone() -> None:
    conv = nn.Conv2d(4, 6, 3)
    assert conv_factory(norm_config(kind="gn"))(conv) is conv and type(conv) is nn.Conv2d


def test_under_autocast_weights_are_standardized_in_float32() -> None:
    conv = conv_factory(GN_WS)(nn.Conv2d(4, 6, 3))
    torch.nn.init.constant_(conv.weight, 1.0)
    with torch.no_grad():  # bfloat16 has 8 bits: these differences are lost in it
        conv.weight += torch.linspace(0, 1e-3, conv.weight.numel()).view_as(conv.weight)
    x = randn(2, 4, 5, 5).float()
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), conv(x), rtol=0.05, atol=0.5)


@pytest.mark.parametrize("model", ["thin_resnet", "thin_vgg", "thin_i3d"])
def test_every_convolution_of_a_classifier_is_standardized_and_starts_as_with_gn(model: str) -> None:
    config = COMPOSER.run(["data=fashion_clips"] if model == "thin_i3d" else [f"model={model}"])
    nets: list[nn.Module] = []
    for norm in (norm_config(kind="gn", num_groups=2), GN_WS):
        given: dict[str, Any] = {"channels": 1, "num_classes": 10, "conv": conv_factory(norm)}
        generator = torch.Generator().manual_seed(0)
        nets.append(build_model(config.model, norm_factory(norm, 1), **given, generator=generator))
    plain, standardized = (net.state_dict() for net in nets)
    assert list(plain) == list(standardized)
    assert all(torch.equal(plain[name], value) for name, value in standardized.items())
    convs = [module for module in nets[1].modules() if isinstance(module, nn.Conv2d | nn.Conv3d)]
    assert convs and all(isinstance(conv, STANDARDIZED) for conv in convs)
    assert not any(isinstance(module, STANDARDIZED) for module in nets[0].modules())


def test_a_detectors_convolutions_with_a_norm_behind_them_are_standardized() -> None:
    words = (f"{place}=gn_ws" for place in ("fpn_norm", "box_norm", "mask_norm"))
    model = detector(config_of("thin_mask_rcnn", *words), "gn_ws")
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            has_norm = not name.startswith("rpn.") and "predictor" not in name
            assert isinstance(module, STANDARDIZED) == has_norm, name
