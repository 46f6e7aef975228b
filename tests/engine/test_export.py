"""Exported weights have torchvision's names and shapes; where torchvision has no such network, a line says why."""

import pytest
import torch
import torchvision

from gnexp.config import RunConfig
from gnexp.engine.export import export_weights, torchvision_constructor
from gnexp.tasks.build import build_task
from tests.composing import COMPOSER
from tests.grids import thin

NAMESPACE = {"torch": torch, "torchvision": torchvision}


def run_of(*overrides: str) -> RunConfig:
    return COMPOSER.run(["workers=2", "data=imagenet", *overrides])


def resnet(*blocks: str) -> list[str]:
    return ["model=resnet50", *(f"model.{part}" for part in blocks)]


def arch(name: str) -> list[str]:
    return ["model=torchvision", f"model.arch={name}"]


@pytest.mark.parametrize(
    ("overrides", "constructor"),
    thin(
        [
            (["model=resnet50", "norm=bn"], "torchvision.models.resnet50(num_classes=1000)"),
            (["model=resnet50", "norm=sync_bn"], "torchvision.models.resnet50(num_classes=1000)"),
            (["model=resnet101", "norm=brn"], "torchvision.models.resnet101(num_classes=1000)"),
            (
                ["model=resnet101", "norm=in"],
                "torchvision.models.resnet101(num_classes=1000, norm_layer=lambda c: torch.nn.GroupNorm(c // 1, c))",
            ),
            (
                ["model=resnet50", "norm=bn", "norm.eps=0.001", "data.num_classes=7"],
                "torchvision.models.resnet50(num_classes=7, norm_layer=lambda c: torch.nn.BatchNorm2d(c, eps=0.001))",
            ),
            (
                resnet("block=basic", "blocks=[1,1,1,1]"),
                (
                    "torchvision.models.resnet.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], "
                    "num_classes=1000, norm_layer=lambda c: torch.nn.GroupNorm(32, c))"
                ),
            ),
            (["model=vgg16", "norm=bn"], "torchvision.models.vgg16_bn(num_classes=1000)"),
            (
                [*arch("mobilenet_v3_small"), "norm=bn"],  # torchvision's own has eps=0.001
                (
                    "torchvision.models.mobilenet_v3_small(num_classes=1000, "
                    "norm_layer=lambda c: torch.nn.BatchNorm2d(c))"
                ),
            ),
            (
                [*arch("shufflenet_v2_x0_5"), "norm=brn"],
                "torchvision.models.shufflenet_v2_x0_5(num_classes=1000)",
            ),
            (
                [*arch("googlenet"), "norm=bn", "norm.eps=0.001"],
                "torchvision.models.googlenet(num_classes=1000, aux_logits=False, init_weights=True)",
            ),
            (
                [*arch("regnet_y_400mf"), "norm=gn", "norm.num_groups=32"],
                (
                    "torchvision.models.regnet_y_400mf(num_classes=1000, norm_layer=lambda c: "
                    "torch.nn.GroupNorm({32: 32, 48: 24, 104: 26, 208: 26, 440: 22}[c], c))"
                ),
            ),
            (["model=vgg16", "norm=brn"], "torchvision.models.vgg16_bn(num_classes=1000)"),
            (["model=vgg16", "norm=none"], "torchvision.models.vgg16(num_classes=1000)"),
            (
                ["model=vgg16", "norm=none", "model.blocks=[1,1,2,2,2]"],
                "torchvision.models.vgg11(num_classes=1000)",
            ),
        ],
        3,
    ),
)
def test_torchvisions_network_takes_them_strictly(overrides: list[str], constructor: str) -> None:
    run = run_of(*overrides)
    assert torchvision_constructor(run) == constructor
    with torch.device("meta"):
        weights = build_task(run.task).build_model(run, torch.Generator()).state_dict()
    with torch.device(
        "cpu" if "regnet" in constructor else "meta"
    ):  # its constructor reads values of tensors
        theirs = eval(constructor, NAMESPACE)
        exported = export_weights(weights, run.norm, "mean")
    assert list(exported) == list(theirs.state_dict())
    theirs.load_state_dict(exported, assign=True)  # refuses another shape


@pytest.mark.parametrize("norm", ["gn", "brn"])
def test_torchvisions_own_constructor_evaluates_alike(norm: str) -> None:
    """Its batch norms' own eps, 0.001, would not: the run's is 1e-5."""
    run = run_of(*arch("mobilenet_v3_small"), f"norm={norm}", "data.num_classes=7")
    model = build_task(run.task).build_model(run, torch.Generator().manual_seed(0)).eval()
    theirs = eval(torchvision_constructor(run), NAMESPACE).double().eval()
    theirs.load_state_dict(export_weights(model.double().state_dict(), run.norm, "worker0"))
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        torch.testing.assert_close(theirs(x), model(x), rtol=1e-9, atol=1e-9)


def test_frozen_batch_norm_is_a_batch_norm_to_torchvision() -> None:
    """In evaluation, which is all that it does."""
    run = run_of("model=resnet50", "norm=frozen_bn", "model.blocks=[1,1,1,1]")
    model = build_task(run.task).build_model(run, torch.Generator().manual_seed(0)).eval()
    for buffer in model.buffers():
        buffer.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(1))
    theirs = eval(torchvision_constructor(run), NAMESPACE).eval()
    theirs.load_state_dict(export_weights(model.state_dict(), run.norm, "worker0"))
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        torch.testing.assert_close(model.double()(x), theirs.double()(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=thin_resnet"], "has a 7x7 stem and widths 64 to 512, model=thin_resnet has stem=conv3x3"),
        (["model=thin_vgg", "norm=bn"], r"model=thin_vgg has .* a classifier of \[1024, 1024\]"),
        (["model=resnet50", "norm=none"], "a norm after every convolution, norm=none has none"),
        (["model=vgg16", "norm=gn"], "VGG takes batch normalization or no norm, not gn32"),
        (["model=vgg16", "norm=bn", "norm.eps=0.001"], "takes no eps but 1e-05, norm.eps is 0.001"),
        (
            [*arch("shufflenet_v2_x0_5"), "norm=gn"],
            "builds no shufflenet_v2_x0_5 with norm=gn8 at each of its",
        ),
        ([*arch("mobilenet_v3_small"), "norm=none"], "torch has no layer for norm=none"),
        (["model=timm", "model.arch=test_resnet"], "torchvision has no network of model.kind=timm"),
        (["model=resnet50", "data=fashion_scenes"], "take 3 channels, data=fashion_scenes has 1"),
    ],
)
def test_where_torchvision_has_none_a_line_says_why(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        torchvision_constructor(run_of(*overrides))
    assert "\n" not in str(caught.value) and "use format=safetensors" in str(caught.value)


def test_the_named_set_of_running_statistics_is_exported() -> None:
    run = run_of("model=thin_resnet", "norm=brn")
    weights = {
        "bn1.running_mean": torch.tensor([[1.0], [2.0]]),
        "bn1.running_std": torch.tensor([[1.0], [3.0]]),
    }
    first = export_weights(weights, run.norm, "worker0")
    mean = export_weights(weights, run.norm, "mean")
    assert (first["bn1.running_mean"], mean["bn1.running_mean"]) == (torch.tensor([1.0]), torch.tensor([1.5]))
    torch.testing.assert_close(mean["bn1.running_var"], torch.tensor([4.0 - 1e-5]))
    constant = {"bn1.running_std": torch.full((1, 1), 1e-5**0.5)}
    assert float(export_weights(constant, run.norm, "worker0")["bn1.running_var"]) >= 0
