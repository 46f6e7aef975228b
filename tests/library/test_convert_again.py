"""That gnexp.convert takes a network which holds gnexp's own norms: a converted one, or a run's."""

import copy

import pytest
import timm
import torch
from torch import nn

import gnexp
from gnexp.config import model_config, norm_config
from gnexp.config.fields import hints_of
from gnexp.config.kinds import classes_of
from gnexp.models.build import build_model
from gnexp.nn.no_norm import NoNormAct
from gnexp.nn.norm_act import NormAct
from gnexp.nn.norms import conv_factory, norm_factory
from tests.grids import keep

IDENTITIES = {"ln": {"num_groups": 1}, "in": {"channels_per_group": 1}}
MOMENTUM = {"momentum": 0.1}
NEEDED = {
    "bn": MOMENTUM,
    "sync_bn": MOMENTUM,
    "brn": {**MOMENTUM, "r_max": 3.0, "d_max": 5.0, "renorm_ramp": (0.0, 1.0, 1.0)},
}
NORMS = classes_of("norm")
CONVERTED = [kind for kind in NORMS if kind not in ("frozen_bn", "sync_bn")] + list(IDENTITIES)
IMAGES = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def of_kind(norm: str) -> str:
    return "gn" if norm in IDENTITIES else norm


def of_run(norm: str) -> nn.Module:
    """A network of gnexp, as gnexp.load gives it."""
    config = model_config(name="two_blocks", blocks=(1, 1), widths=(8, 16), default_num_groups=4)
    kind = norm_config(kind=of_kind(norm), **IDENTITIES.get(norm, NEEDED.get(norm, {}))).resolved(4)
    generator = torch.Generator().manual_seed(0)
    return build_model(
        config,
        norm_factory(kind, 1),
        channels=3,
        num_classes=5,
        conv=conv_factory(kind),
        generator=generator,
    )


@pytest.mark.parametrize("first", keep(["gn", "brn", "gn_ws"], CONVERTED))
def test_a_converted_network_becomes_what_a_fresh_one_becomes(first):
    """One whose norms activate themselves, so that the norms that do are among them."""
    for second in CONVERTED:
        torch.manual_seed(0)
        model = timm.create_model("test_efficientnet")
        fresh = copy.deepcopy(model)
        weights = {id(parameter) for parameter in model.parameters()}
        gnexp.convert(gnexp.convert(model, first), second)
        gnexp.convert(fresh, second)
        assert str(model) == str(fresh) and list(model.state_dict()) == list(fresh.state_dict()), second
        assert all(parameter.requires_grad for parameter in model.parameters()), second
        torch.testing.assert_close(model(IMAGES), fresh(IMAGES), msg=second)
        told, expected = gnexp.converted(model), gnexp.converted(fresh)
        assert told.standardized == expected.standardized and told.summary == expected.summary
        if "none" not in (first, second):
            kept = [p for name, p in model.named_parameters() if name.endswith(("weight", "bias"))]
            assert {id(parameter) for parameter in kept} <= weights, second


@pytest.mark.parametrize("norm", NORMS)
def test_a_runs_network_becomes_one_with_another_norm(norm):
    """Its norms take a residual and ReLU, and so do those that take their places."""
    for other in CONVERTED:
        takes_groups = "num_groups" in hints_of(NORMS[of_kind(other)]) and other not in IDENTITIES
        groups = {"num_groups": 4} if takes_groups else {}
        network = gnexp.convert(of_run(norm), other, **groups).eval()
        expected = of_run(other)
        missing, extra = expected.load_state_dict(network.state_dict(), strict=False)
        assert all("running" in key or "epochs" in key for key in (*missing, *extra)), other
        torch.testing.assert_close(network(IMAGES), expected.eval()(IMAGES), msg=other)


def test_a_frozen_norm_of_gnexp_stays_frozen():
    network = gnexp.convert(of_run("frozen_bn"))
    assert len(gnexp.converted(network).frozen) == len(gnexp.converted(network).layers)


@pytest.mark.parametrize("second", ["gn", "bn", "ln2d"])
@pytest.mark.parametrize("first", ["gn", "bn", "brn", "ln2d", "grms"])
def test_what_has_no_affine_map_gets_none(first, second):
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8, affine=False))
    gnexp.convert(gnexp.convert(model, first, **{"num_groups": 2} if first == "gn" else {}), second)
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias"]
    assert not gnexp.converted(model).frozen


def test_a_bias_alone_gets_a_weight_that_trains():
    model = gnexp.convert(gnexp.convert(nn.Sequential(nn.BatchNorm2d(64)), "none"))
    assert isinstance(model[0], gnexp.GroupNorm) and model[0].weight.requires_grad


def test_ghost_batch_norm_hands_on_its_workers_eps_and_momentum():
    model = nn.Sequential(nn.BatchNorm2d(8, eps=1e-3, momentum=0.01))
    gnexp.convert(gnexp.convert(model, "bn", workers=4), "brn")
    assert (model[0].workers, model[0].eps, model[0].momentum) == (4, 1e-3, 0.01)


@pytest.mark.parametrize("first", ["gn", "none", "bn"])
def test_a_norm_with_an_activation_is_refused_where_the_network_activates(first):
    model = gnexp.convert(nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU()), first)
    before = model[1]
    with pytest.raises(ValueError, match=f"^layer 1: norm=frn has .*, and {type(before).__name__} leaves it"):
        gnexp.convert(model, "frn")
    assert model[1] is before
    with pytest.raises(ValueError, match="GroupNorm leaves it to the network"):
        gnexp.convert(nn.Sequential(gnexp.GroupNorm(2, 8)), "frn")
    assert gnexp.convert(nn.Sequential(gnexp.GroupNorm(2, 8, relu=True)), "frn")[0].relu


def test_a_part_that_was_converted_before_tells_nothing_of_its_own():
    model = nn.Sequential(nn.Sequential(nn.BatchNorm2d(64)), nn.BatchNorm2d(64))
    gnexp.convert(model[0])
    assert len(gnexp.converted(gnexp.convert(model, "ln")).layers) == 2
    with pytest.raises(ValueError, match="is not what gnexp.convert has returned"):
        gnexp.converted(model[0])


def test_a_persons_hook_on_a_converted_norm_is_refused():
    model = gnexp.convert(timm.create_model("test_efficientnet"))
    norm = next(module for module in model.modules() if isinstance(module, gnexp.GroupNorm))
    norm.register_forward_hook(lambda *args: None)
    with pytest.raises(ValueError, match=f"^layer {norm.name}: .*GroupNorm has hooks"):
        gnexp.convert(model, "ln")


class Doubled(nn.Conv2d):
    """A convolution that a package's norm wants."""


def test_convolutions_that_nobody_can_restore_are_refused(monkeypatch):
    monkeypatch.setattr("gnexp.library.convert.conv_of", lambda *args: become_doubled)
    model = gnexp.convert(nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64)), "gn_ws")
    assert type(model[0]) is Doubled
    monkeypatch.undo()
    with pytest.raises(ValueError, match="^layer 0: Doubled was put there .* build the model anew"):
        gnexp.convert(model)
    assert gnexp.converted(model).norm == "gn_ws"


def become_doubled(conv: nn.Module) -> nn.Module:
    conv.__class__ = Doubled
    return conv


def test_every_norm_of_gnexp_is_known_as_one():
    network = of_run("gn")
    found = [module for module in network.modules() if isinstance(module, NormAct)]
    assert len(found) == len(gnexp.converted(gnexp.convert(network)).layers) > 0
    assert isinstance(gnexp.convert(gnexp.GroupNorm(2, 8), "none"), NoNormAct)


@pytest.mark.parametrize("between", ["gn", "grms", "ln2d"])
def test_a_norm_without_any_tensor_passes_on_device_and_dtype_of_its_network(between):
    plain = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8, affine=False)).to("meta", torch.float64)
    model = gnexp.convert(gnexp.convert(plain, between), "bn")
    assert model[1].running_mean.is_meta and model[1].running_mean.dtype == torch.float64
    assert model[1].weight is None
