"""What gnexp.convert makes of a model, what it says of it, and what it refuses."""

import logging
import pickle

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn.utils import prune
from torchvision.ops.misc import FrozenBatchNorm2d

import gnexp
from gnexp.nn.kinds.grouping import fitting_channels, fitting_groups
from gnexp.nn.no_norm import NoNormAct


def model(*channels: int) -> nn.Sequential:
    return nn.Sequential(*(nn.BatchNorm2d(number) for number in channels))


def groups(converted: nn.Module) -> list[int | None]:
    return [layer.num_groups for layer in gnexp.converted(converted).layers]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [32, 12, 1, 24, 1, 16]),
        ({"num_groups": 32}, [32, 12, 1, 24, 1, 32]),
        ({"num_groups": 8}, [8, 8, 1, 8, 1, 8]),
        ({"channels_per_group": 16}, [4, 2, 1, 3, 1, 2]),
        ({"channels_per_group": 1}, [64, 24, 19, 48, 1, 32]),
        ({"norm": "ln"}, [1, 1, 1, 1, 1, 1]),
        ({"norm": "in"}, [64, 24, 19, 48, 1, 32]),
        ({"norm": "gn_ws"}, [32, 12, 1, 24, 1, 16]),
        ({"norm": "grms"}, [32, 12, 1, 24, 1, 16]),
    ],
)
def test_groups_that_do_not_divide_become_the_nearest_that_do(given, expected):
    assert groups(gnexp.convert(model(64, 24, 19, 48, 1, 32), **given)) == expected


@pytest.mark.parametrize("wanted", [2, 5, 16, 32])
def test_what_fits_divides_and_leaves_two_channels(wanted):
    for channels in range(2, 200):
        num, size = fitting_groups(channels, wanted), fitting_channels(channels, wanted)
        assert channels % num == channels % size == 0
        assert num <= wanted and channels // num >= 2 and size >= 2
        fits_below = any(channels % smaller == 0 for smaller in range(2, wanted + 1))
        assert (
            size <= wanted
            if fits_below
            else size == min(d for d in range(2, channels + 1) if channels % d == 0)
        )


def test_the_report_names_each_layer(caplog):
    shared = nn.BatchNorm2d(64)
    with caplog.at_level(logging.DEBUG, "gnexp"):
        converted = gnexp.convert(nn.Sequential(shared, nn.BatchNorm1d(40), shared, FrozenBatchNorm2d(64)))
    summary = (
        "converted 3 layers to gn; 1 with other groups than asked for, the first 1: 40 channels, 20 groups "
        "(num_groups=32 does not divide them); 1 had a frozen weight and bias, which still do not train"
    )
    lines = [
        summary,
        "0: 64 channels, 32 groups, shared with 2",
        "1: 40 channels, 20 groups (num_groups=32 does not divide them)",
        "3: 64 channels, 32 groups",
    ]
    assert [record.getMessage() for record in caplog.records] == lines
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG", "DEBUG"]
    found = gnexp.converted(converted)
    assert str(found).splitlines() == lines
    assert [(layer.name, layer.old, layer.new) for layer in found.frozen] == [
        ("3", "FrozenBatchNorm2d", "GroupNorm")
    ]
    assert [layer.name for layer in found.misfits] == ["1"]


def test_the_default_makes_no_layer_instance_norm_untold(caplog):
    with caplog.at_level(logging.WARNING, "gnexp"):
        found = gnexp.converted(gnexp.convert(model(64, 32, 1)))
    lines = [
        "1: 32 channels, 16 groups (num_groups=32, the default, would leave one a group)",
        "2: 1 channel, 1 group (num_groups=32 does not divide it)",
    ]
    assert list(map(str, found.misfits)) == lines
    assert lines[0] in caplog.text
    with pytest.raises(ValueError, match="^layer 0: has 32 channels, and num_groups=32, the default, would"):
        gnexp.convert(model(32), strict=True)
    assert groups(gnexp.convert(model(32), strict=True, num_groups=32)) == [32]


def test_no_layer_of_a_narrow_network_is_instance_norm_by_default():
    for name in ("mobilenet_v2", "efficientnet_b0", "mnasnet1_0"):
        network = torchvision.models.get_model(name, weights=None)
        layers = gnexp.converted(gnexp.convert(network)).layers
        assert all(layer.num_groups < layer.channels for layer in layers), name
    # Its attention normalizes maps of one pixel.
    network = gnexp.convert(timm.create_model("skresnet18"))
    assert network(torch.randn(2, 3, 64, 64)).isfinite().all()


def test_what_went_as_asked_is_no_warning(caplog):
    with caplog.at_level(logging.INFO, "gnexp"):
        gnexp.convert(model(64))
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [("INFO", "converted 1 layer to gn")]


def test_a_norm_without_affine_map_stays_without():
    norm = gnexp.convert(nn.BatchNorm2d(8, affine=False), num_groups=2)
    assert isinstance(norm, gnexp.GroupNorm) and norm.weight is None and not norm.state_dict()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"norm": "bn", "workers": 4, "momentum": 0.2}, gnexp.GhostBatchNorm),
        ({"norm": "brn", "r_max": 2.0}, gnexp.BatchRenorm),
        ({"norm": "gn", "eps": 1e-3}, gnexp.GroupNorm),
        ({"norm": "ln2d", "eps": 1e-5}, gnexp.LayerNorm2d),
        ({"norm": "grms", "num_groups": 2}, gnexp.GroupRMSNorm),
        ({"norm": "none"}, NoNormAct),
    ],
)
def test_other_norms_take_their_own_options(given, expected):
    converted = gnexp.convert(nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)), **given)
    norm = converted[1]
    assert type(norm) is expected and norm.name == "1"
    assert all(getattr(norm, key) == value for key, value in given.items() if key != "norm")
    assert converted(torch.randn(8, 3, 4, 4)).isfinite().all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"norm": "gnn"}, "norm must be one of gn, .*, got gnn; did you mean gn"),
        (
            {"norm": "frn"},
            "layer 0: norm=frn has an activation of its own, and BatchNorm2d leaves it to the network",
        ),
        ({"norm": "frozen_bn"}, "norm=frozen_bn holds the statistics of a trained batch norm fixed"),
        ({"norm": "sync_bn"}, "norm=sync_bn is torch's own: torch.nn.SyncBatchNorm.convert_sync_batchnorm"),
        ({"num_groups": 0}, "num_groups must be a whole number, at least 1, got 0"),
        ({"num_groups": 2, "channels_per_group": 2}, "not both: got 2 and 2"),
        ({"norm": "ln", "num_groups": 2}, "norm=ln takes no num_groups, got 2"),
        ({"norm": "bn", "channels_per_group": 2}, "norm=bn takes no channels_per_group, got 2"),
        ({"momentum": 0.1}, "takes no momentum, got 0.1; it takes num_groups, channels_per_group, eps$"),
        ({"num_group": 8}, "norm=gn takes no num_group, .*, eps; did you mean num_groups"),
        ({"stric": True}, "norm=gn takes no stric, .*, eps; did you mean strict"),
        ({"norm": "ln", "ep": 1.0}, "norm=ln takes no ep, got 1.0; it takes eps; did you mean eps"),
        ({"norm": "none", "eps": 1.0}, "norm=none takes no eps, got 1.0; it takes no options"),
        (
            {"strict": True},
            "layer 1: has 24 channels, and num_groups=32 does not divide them; give one of 1, 2, 3, 4, 6, 8, 12",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_changes_nothing(given, message):
    refused = model(64, 24)
    before = list(refused.modules())
    with pytest.raises(ValueError, match=message) as caught:
        gnexp.convert(refused, **given)
    assert "\n" not in str(caught.value)
    assert list(refused.modules()) == before
    with pytest.raises(ValueError, match="is not what gnexp.convert has returned"):
        gnexp.converted(refused)


def test_a_model_without_batch_norm_is_refused_with_the_norms_that_it_has():
    with pytest.raises(ValueError, match=r"^Sequential has no batch norm for norm=gn .* LayerNorm \(1\)$"):
        gnexp.convert(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    with pytest.raises(ValueError, match=r"its norms are none$"):
        gnexp.convert(nn.Sequential(nn.Linear(2, 2)))


@pytest.mark.parametrize(
    ("norm", "cls"), [("frn", gnexp.FilterResponseNorm), ("evonorm_s0", gnexp.EvoNormS0)]
)
def test_a_norm_with_an_activation_takes_that_of_a_norm_that_activates(norm, cls):
    converted = gnexp.convert(timm.create_model("test_efficientnet"), norm)
    norms = [module for module in converted.modules() if isinstance(module, cls)]
    assert len(norms) == len(gnexp.converted(converted).layers)
    assert {module.relu for module in norms} == {True, False}  # a block's last norm does not activate
    assert not any(hasattr(module, "act") for module in norms)
    assert converted(torch.randn(2, 3, 64, 64)).isfinite().all()


def test_the_convolutions_before_norms_are_standardized():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1)
    )
    last = network[4]
    keys = set(network.state_dict())
    converted = gnexp.convert(network, "gn_ws", num_groups=2)
    assert gnexp.converted(converted).standardized == ("0", "2") and type(last) is nn.Conv2d
    assert gnexp.converted(converted).summary == "converted 1 layer to gn_ws; 2 convolutions standardized"
    assert {key for key in keys if "running" not in key and "tracked" not in key} == set(
        converted.state_dict()
    )
    x = torch.randn(2, 3, 9, 9)
    expected = x
    for index in (0, 2):
        weight = network[index].weight
        var, mean = torch.var_mean(weight, (1, 2, 3), keepdim=True, correction=0)
        bias = network[index].bias
        expected = nn.functional.conv2d(expected, (weight - mean) / (var + 1e-5).sqrt(), bias)
        expected = expected.relu() if index == 0 else nn.functional.group_norm(expected, 2)
    torch.testing.assert_close(converted(x), last(expected), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(pickle.loads(pickle.dumps(converted))(x), converted(x), rtol=0, atol=0)


def test_a_convolution_that_cannot_be_standardized_is_refused_and_nothing_is_changed():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv1d(8, 8, 1), nn.BatchNorm1d(8))
    before = [type(module) for module in network.modules()]
    with pytest.raises(ValueError, match=r"^layer 2: weights can be standardized of .*, got a Conv1d"):
        gnexp.convert(network, "gn_ws", num_groups=2)
    assert [type(module) for module in network.modules()] == before


@pytest.mark.parametrize(
    ("norm", "given", "message"),
    [
        ("gn", {"num_groups": 8.0}, "num_groups must be a whole number, at least 1, got 8.0"),
        ("gn", {"num_groups": True}, "num_groups must be a whole number, at least 1, got True"),
        ("gn", {"eps": -1.0}, "eps must be a finite number, not negative, such as 1e-5, got -1.0"),
        ("gn", {"eps": 0.0}, "eps must be positive, got 0.0"),
        ("bn", {"momentum": 0.0}, r"momentum must be in \(0, 1\], got 0.0"),
        ("bn", {"momentum": None}, "momentum must be a number from 0 to 1, got None"),
        ("bn", {"workers": 0}, "workers must be a whole number, at least 1, got 0"),
        ("brn", {"workers": 1.5}, "workers must be a whole number, at least 1, got 1.5"),
        (nn.GroupNorm, {}, "norm must be a norm's name, such as 'gn', got a type"),
    ],
)
def test_a_number_out_of_its_bounds_is_refused_before_training_and_changes_nothing(norm, given, message):
    model = nn.Sequential(nn.BatchNorm2d(64))
    with pytest.raises(ValueError, match=f"^{message}$"):
        gnexp.convert(model, norm, **given)
    assert type(model[0]) is nn.BatchNorm2d


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script:FutureWarning", "ignore:.*torch.jit.script:DeprecationWarning"
)
def test_what_is_no_network_is_refused():
    scripted = torch.jit.script(nn.Sequential(nn.BatchNorm2d(64)))
    for model, said in (
        ("resnet50", "a str"),
        (nn.BatchNorm2d, "a type"),
        (scripted, "a RecursiveScriptModule"),
    ):
        with pytest.raises(ValueError, match=f"^model must be a torch.nn.Module .*, got {said}$"):
            gnexp.convert(model)


def test_a_refusal_of_the_new_norm_names_the_layer():
    model = nn.Sequential(nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1))
    with pytest.raises(ValueError, match="^layer 1: one channel per position normalizes to nothing"):
        gnexp.convert(model, "ln2d")
    with pytest.raises(ValueError, match="^one channel per position normalizes to nothing"):
        gnexp.LayerNorm2d(1)


@pytest.mark.parametrize("norm", ["bn", "brn"])
def test_a_norm_over_the_batch_keeps_eps_and_momentum(norm):
    """Mobile networks have 1e-3 and 0.01, where 1e-5 and 0.1 took their places."""
    model = gnexp.convert(nn.Sequential(nn.BatchNorm2d(8, eps=1e-3, momentum=0.01)), norm)
    assert (model[0].eps, model[0].momentum) == (1e-3, 0.01)
    model = gnexp.convert(nn.Sequential(nn.BatchNorm2d(8, eps=1e-3, momentum=0.01)), norm, momentum=0.2)
    assert (model[0].eps, model[0].momentum) == (1e-3, 0.2)
    with pytest.raises(ValueError, match="^layer 0: its momentum is None"):
        gnexp.convert(nn.Sequential(nn.BatchNorm2d(8, momentum=None)), norm)


def test_a_convolution_behind_which_another_layer_stands_is_not_standardized():
    between = nn.Sequential(nn.Conv2d(3, 64, 1), nn.ConvTranspose2d(64, 64, 2), nn.BatchNorm2d(64))
    assert gnexp.converted(gnexp.convert(between, "gn_ws")).standardized == ()


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script:FutureWarning", "ignore:.*torch.jit.script:DeprecationWarning"
)
def test_a_compiled_convolution_before_a_norm_is_refused_by_name():
    compiled = torch.jit.script(nn.Sequential(nn.Conv2d(3, 64, 3)))
    with pytest.raises(ValueError, match=r"^layer 0\.0: a convolution that is compiled to TorchScript"):
        gnexp.convert(nn.Sequential(compiled, nn.BatchNorm2d(64)), "gn_ws")
    head = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), torch.jit.script(nn.Conv2d(64, 8, 1)))
    assert gnexp.converted(gnexp.convert(head, "gn_ws")).standardized == ("0",)


def test_attention_over_channels_and_single_weights_are_not_standardized():
    """The one in ECA is a Conv1d without a bias or a norm behind it, the others in MobileOne scale each channel."""
    network = gnexp.convert(timm.create_model("ecaresnet26t"), "gn_ws", num_groups=8)
    plain = {name for name, module in network.named_modules() if type(module) is nn.Conv1d}
    assert "layer1.0.se.conv" in plain and not plain & {*gnexp.converted(network).standardized}
    assert network.eval()(torch.randn(1, 3, 64, 64)).isfinite().all()
    scale = nn.Conv2d(64, 64, 1, groups=64, bias=False)
    branch = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), scale, nn.BatchNorm2d(64))
    assert gnexp.converted(gnexp.convert(branch, "gn_ws")).standardized == ("0",)


def with_forward(conv: nn.Module) -> nn.Module:
    forward = conv.forward
    conv.forward = lambda x: forward(x)
    return conv


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (nn.utils.parametrizations.weight_norm, "ParametrizedConv2d is parametrized"),
        (nn.utils.spectral_norm, "Conv2d computes its weight anew in each step"),
        (nn.utils.weight_norm, "Conv2d computes its weight anew in each step"),
        (lambda conv: prune.l1_unstructured(conv, "weight", 0.5), "Conv2d computes its weight anew"),
        (with_forward, "Conv2d has a forward that was put on it"),
    ],
)
def test_a_convolution_whose_weight_is_computed_is_refused_by_name(change, words):
    network = nn.Sequential(change(nn.Conv2d(3, 64, 3, bias=False)), nn.BatchNorm2d(64))
    before = [type(module) for module in network]
    with pytest.raises(ValueError, match=f"^layer 0: {words}"):
        gnexp.convert(network, "gn_ws")
    assert [type(module) for module in network] == before


@pytest.mark.parametrize("norm", ["gn", "ln", "in", "gn_ws", "grms", "ln2d", "bn", "brn", "none"])
def test_a_converted_network_works_in_half_precision(norm):
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.Conv2d(64, 4, 1))
    model = gnexp.convert(model, norm).to(torch.bfloat16)
    y = model(torch.randn(4, 3, 8, 8, dtype=torch.bfloat16))
    y.float().square().sum().backward()
    assert y.dtype == torch.bfloat16 and model[0].weight.grad.isfinite().all()
