"""ResNets against torchvision's: the same keys, and with its weights the same outputs."""

import copy
import dataclasses

import pytest
import torch
import torchvision

from gnexp.config import ModelConfig, NormConfig, model_config, norm_config
from gnexp.models.build import build_model
from gnexp.nn.batch_norm import BatchNormAct
from gnexp.nn.norms import norm_factory
from tests.composing import COMPOSER
from tests.grids import thin

RESNET50 = model_config(
    name="resnet50", block="bottleneck", blocks=(3, 4, 6, 3), widths=(64, 128, 256, 512), stem="conv7x7_pool"
)


RESNET101 = dataclasses.replace(RESNET50, name="resnet101", blocks=(3, 4, 23, 3))


def build(config: ModelConfig, norm: NormConfig, seed: int = 0, *, workers: int = 1) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return build_model(config, norm_factory(norm, workers), channels=3, num_classes=1000, generator=generator)


BN = norm_config(kind="bn", momentum=0.1)
GN = norm_config(kind="gn", num_groups=8)


@pytest.fixture(scope="module")
def torchvision_resnet50() -> torch.nn.Module:
    theirs = torchvision.models.resnet50(weights=None)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        # Fresh running statistics are 0 and 1 and would hide a mixed-up key.
        for name, value in theirs.state_dict().items():
            if "running_mean" in name or name.endswith("bias"):
                value.normal_(0, 0.1, generator=generator)
            elif "running_var" in name:
                value.uniform_(0.5, 2, generator=generator)
    return theirs


def test_resnet50_has_torchvisions_keys(torchvision_resnet50: torch.nn.Module) -> None:
    expected = {name: value.shape for name, value in torchvision_resnet50.state_dict().items()}
    found = build(RESNET50, BN).state_dict()
    assert list(found) == list(expected)
    for name, shape in expected.items():
        assert found[name].shape[-len(shape) :] == shape if len(shape) else found[name].shape == shape, name


def assert_same_outputs(ours: torch.nn.Module, theirs: torch.nn.Module, num: int = 2) -> None:
    """In double precision: in single, 50 layers' rounding differs by 1e-5 from machine to machine."""
    x = torch.randn(num, 3, 64, 64, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        expected = copy.deepcopy(theirs).double()(x)
        torch.testing.assert_close(copy.deepcopy(ours).double()(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("workers", thin([8, 1]))
def test_resnet50_gives_torchvisions_outputs(torchvision_resnet50: torch.nn.Module, workers: int) -> None:
    ours = build(RESNET50, BN, workers=workers)
    ours.load_state_dict(torchvision_resnet50.state_dict())
    assert_same_outputs(ours.eval(), torchvision_resnet50.eval())


def test_resnet50_with_groups_gives_torchvisions_outputs() -> None:
    def group_norm(channels: int) -> torch.nn.GroupNorm:
        return torch.nn.GroupNorm(32, channels)

    theirs = torchvision.models.resnet50(weights=None, norm_layer=group_norm)
    ours = build(RESNET50, norm_config(kind="gn", num_groups=32))
    ours.load_state_dict(theirs.state_dict())
    assert_same_outputs(ours, theirs)


@pytest.mark.slow
def test_resnet101_is_torchvisions() -> None:
    """On torchvision's own tensors, which takes less time than a second network."""
    theirs = torchvision.models.resnet101(weights=None)
    with torch.device("meta"):
        ours = build(RESNET101, BN)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), assign=True)  # refuses another shape
    assert_same_outputs(ours.eval(), theirs.eval(), num=1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", RESNET50),
        ("resnet101", RESNET101),
        ("thin_resnet", model_config()),
        ("thin_resnet_deep", model_config(name="thin_resnet_deep", blocks=(3, 3, 3, 3))),
    ],
)
def test_the_yaml_is_the_network_tested_here(name: str, expected: ModelConfig) -> None:
    found = COMPOSER.run([f"model={name}"]).model
    assert dataclasses.replace(found, default_num_groups=8) == expected


def test_thin_resnet_ends_in_a_2x2_map() -> None:
    model = build(model_config(), GN)
    maps: list[torch.Size] = []
    model.layer4.register_forward_hook(lambda module, inputs, output: maps.append(output.shape))
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)
    assert maps == [torch.Size([1, 128, 2, 2])]


def test_initialisation() -> None:
    """He, fan out; gamma 0 in each block's last norm and 1 elsewhere; beta 0; classifier N(0, 0.01)."""
    model = build(RESNET50, GN)
    weight = model.get_submodule("layer3.0.conv2").weight
    assert float(weight.detach().std()) == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)
    assert float(model.fc.weight.detach().std()) == pytest.approx(0.01, rel=0.01)
    for name, parameter in model.named_parameters():
        if "bn" in name or "downsample.1" in name:
            gamma = 0.0 if name.startswith("layer") and "bn3" in name else 1.0
            assert parameter.unique().tolist() == [gamma if name.endswith("weight") else 0.0], name
    assert model.fc.bias.unique().tolist() == [0.0]


def test_the_seed_fixes_the_weights_whatever_the_norm() -> None:
    first, again, other_norm, other_seed = (
        build(model_config(), GN).state_dict(),
        build(model_config(), GN).state_dict(),
        build(model_config(), BN).state_dict(),
        build(model_config(), GN, seed=1).state_dict(),
    )
    for name in ("conv1.weight", "layer4.0.conv2.weight", "fc.weight"):
        assert torch.equal(first[name], again[name]) and torch.equal(first[name], other_norm[name])
        assert not torch.equal(first[name], other_seed[name])


def test_every_worker_has_its_statistics() -> None:
    model = build(model_config(), BN, workers=4)
    norms = [module for module in model.modules() if isinstance(module, BatchNormAct)]
    assert len(norms) == 12 and all(norm.running_mean.shape == (4, norm.channels) for norm in norms)


def test_impossible_grouping_names_the_layer() -> None:
    with pytest.raises(ValueError, match=r"layer bn1: .*got C=16 and G=32; possible: 1, 2, 4, 8, 16"):
        build(model_config(), norm_config(kind="gn", num_groups=32))
    with pytest.raises(
        ValueError, match="model.kind must be one of resnet, vgg, i3d, torchvision, timm, mask_rcnn, got vit"
    ):
        build(model_config(kind="vit"), GN)
