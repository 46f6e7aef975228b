"""That other people's networks work with another norm: one after the other through all that one does with a network."""

import copy
import importlib
import io
import pickle

import pytest
import torch
import torchvision
from torch import nn

import gnexp
from tests.library.zoo import detector, of_timm, of_torchvision, on_meta_if_large, pyramid, targets, tensors

IMAGES = (2, 3, 64, 64)
TEN = {
    "resnet18": (of_torchvision("resnet18"), IMAGES),
    "mobilenet_v3_small": (of_torchvision("mobilenet_v3_small"), IMAGES),
    "shufflenet_v2_x0_5": (of_torchvision("shufflenet_v2_x0_5"), IMAGES),
    "googlenet": (of_torchvision("googlenet", init_weights=False), IMAGES),  # returns several outputs
    "lraspp_mobilenet_v3_large": (of_torchvision("lraspp_mobilenet_v3_large"), IMAGES),
    "resnet_fpn": (pyramid, IMAGES),  # has frozen batch norms
    "mc3_18": (of_torchvision("mc3_18"), (2, 3, 2, 32, 32)),
    "test_resnet": (of_timm("test_resnet"), IMAGES),
    "test_byobnet": (of_timm("test_byobnet"), IMAGES),  # batch norms that activate, here and in the next
    "test_efficientnet": (of_timm("test_efficientnet"), IMAGES),
}


def check(build, images, *rest):
    """Converts a network and does with it what one does with a network."""
    torch.manual_seed(0)
    model = build()
    if not any("BatchNorm" in type(module).__name__ for module in model.modules()):
        with pytest.raises(ValueError, match="has no batch norm"):
            gnexp.convert(model)
        return
    parameters = {id(parameter) for parameter in model.parameters()}
    assert gnexp.convert(model) is model
    norms = [module for module in model.modules() if isinstance(module, gnexp.GroupNorm)]
    conversion = gnexp.converted(model)
    assert len(norms) == len(conversion.layers)
    assert not [name for name, _ in model.named_buffers() if name.endswith(("running_mean", "running_var"))]
    assert parameters <= {id(parameter) for parameter in model.parameters()}
    outputs = tensors(model.train()(images, *rest))
    sum(output.sum() for output in outputs).backward()
    assert all(output.isfinite().all() for output in outputs)
    trained = [norm.weight.grad for norm in norms if norm.weight.requires_grad]
    assert len(trained) + len(conversion.frozen) == len(norms)
    reached = [grad for grad in trained if grad is not None]  # not the heads that are used otherwise
    assert all(grad.isfinite().all() for grad in reached) and bool(reached) == bool(trained)
    check_copies(model.eval(), build, images)


def check_shapes(model, images):
    """What is too large to be computed: its layers and shapes."""
    assert gnexp.convert(model) is model
    outputs = tensors(model(images.to("meta")))
    assert all(output.is_meta and len(output) == len(images) for output in outputs)
    norms = [module for module in model.modules() if isinstance(module, gnexp.GroupNorm)]
    assert len(norms) == len(gnexp.converted(model).layers) and all(norm.weight.is_meta for norm in norms)


def check_copies(model, build, images):
    """By state_dict, by deepcopy and by pickle."""
    with torch.no_grad():
        expected = tensors(model(images))
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        again = gnexp.convert(build()).eval()
        again.load_state_dict(torch.load(file, weights_only=True))
        for same in (again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            for mine, theirs in zip(tensors(same(images)), expected, strict=True):
                torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
        assert gnexp.converted(copy.deepcopy(model)) == gnexp.converted(model)


@pytest.mark.filterwarnings("ignore")  # of the networks' own
@pytest.mark.parametrize("name", TEN)
def test_a_network_works_with_group_norm(name):
    build, shape = TEN[name]
    check(build, torch.randn(shape))


def test_a_converted_network_computes_what_one_built_with_torchs_group_norm_does():
    model = torchvision.models.resnet18().double()
    reference = torchvision.models.resnet18(norm_layer=lambda channels: nn.GroupNorm(32, channels)).double()
    gnexp.convert(model)
    reference.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 40, 40, dtype=torch.float64)
    for network in (model, reference):
        network(images).square().sum().backward()
    torch.testing.assert_close(model(images), reference(images))
    for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.slow
def test_a_converted_network_compiles_as_one_graph():
    model = gnexp.convert(of_timm("test_resnet")()).double()
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(images), model(images))


TORCHVISION = [
    name
    for module in ("", ".segmentation", ".detection", ".video")
    for name in torchvision.models.list_models(module=importlib.import_module(f"torchvision.models{module}"))
    if name not in TEN and name != "mc3_18"
]
TIMM = [
    "cspresnet50", "densenet121", "dla46_c", "dpn48b", "efficientformerv2_s0", "efficientvit_b0", "efficientvit_m0",
    "fastvit_t8", "ghostnet_050", "hardcorenas_a", "hrnet_w18_small", "inception_v4", "lcnet_035", "levit_128s",
    "mobileone_s0", "mobilevit_xxs", "regnetx_002", "repghostnet_050", "repvit_m0_9", "res2net50_14w_8s",
    "resnetv2_50", "rexnet_100", "selecsls42b", "starnet_s1", "tf_efficientnet_lite0", "tiny_vit_5m_224",
    "vovnet39a", "xception41", "xcit_nano_12_p16_224",
]  # fmt: skip
# What smaller images do not go through.
SHAPES = {
    "maxvit_t": (2, 3, 224, 224),
    "inception_v3": (2, 3, 299, 299),
    "s3d": (1, 3, 16, 224, 224),
    "ssd300_vgg16": (2, 3, 300, 300),
    "inception_v4": (2, 3, 96, 96),
    "efficientformerv2_s0": (2, 3, 224, 224),
    "levit_128s": (2, 3, 224, 224),
    "tiny_vit_5m_224": (2, 3, 224, 224),
}


def shape_of(name):
    is_of_clips = name in torchvision.models.list_models(module=torchvision.models.video)
    return SHAPES.get(name, (2, 3, 16, 64, 64) if is_of_clips else IMAGES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TORCHVISION)
def test_every_network_of_torchvision(name):
    is_detector = name in torchvision.models.list_models(module=torchvision.models.detection)
    build = detector(name) if is_detector else of_torchvision(name)
    images = torch.randn(shape_of(name))
    if is_detector:  # none is large, and some run their backbone while they are built
        check(build, list(images), targets(name))
    elif (model := on_meta_if_large(build)) is not None:
        check_shapes(model, images)
    else:
        check(build, images)


@pytest.mark.slow
def test_a_group_of_one_value_is_refused_by_the_name_of_its_layer():
    """Where attention normalizes a map of one pixel: 32 groups divide its 32 channels, and leave one a group."""
    model = gnexp.convert(of_timm("resnest14d")(), num_groups=32)
    with pytest.raises(
        ValueError, match=r"^layer layer1\.0\.conv2\.bn1: one value per group .*num_groups=32; use"
    ):
        model(torch.randn(IMAGES))
    for given in ({}, {"channels_per_group": 16}):
        assert gnexp.convert(of_timm("resnest14d")(), **given)(torch.randn(IMAGES)).isfinite().all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TIMM)
def test_families_of_timm(name):
    check(of_timm(name), torch.randn(shape_of(name)))
