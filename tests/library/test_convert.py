"""What gnexp.convert makes of a model, what it says of it, and what it refuses."""

import logging

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn
from torchvision.ops.misc import FrozenBatchNorm2d

import gnexp
from gnexp.library.building import make_of
from gnexp.library.grouping import Grouping
from gnexp.nn.kinds.group_norm import GroupNormConfig
from gnexp.nn.kinds.grouping import fitting_channels, fitting_groups
from gnexp.nn.no_norm import NoNormAct
from gnexp.nn.replacing import replace_norms


def model(*channels: int) -> nn.Sequential:
    return nn.Sequential(*(nn.BatchNorm2d(number) for number in channels))


def groups(converted: nn.Module) -> list[int | None]:
    return [layer.num_groups for layer in gnexp.converted(converted).layers]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [32, 12, 1, 24, 1]),
        ({"num_groups": 8}, [8, 8, 1, 8, 1]),
        ({"channels_per_group": 16}, [4, 2, 1, 3, 1]),
        ({"channels_per_group": 1}, [64, 24, 19, 48, 1]),
        ({"norm": "ln"}, [1, 1, 1, 1, 1]),
        ({"norm": "in"}, [64, 24, 19, 48, 1]),
    ],
)
def test_groups_that_do_not_divide_become_the_nearest_that_do(given, expected):
    assert groups(gnexp.convert(model(64, 24, 19, 48, 1), **given)) == expected


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
        ({"norm": "gm"}, "norm must be one of gn, .*, got gm; did you mean gn"),
        ({"norm": "frozen_bn"}, "norm=frozen_bn holds the statistics of a trained batch norm fixed"),
        ({"num_groups": 0}, "num_groups must be at least 1, got 0"),
        ({"num_groups": 2, "channels_per_group": 2}, "not both: got 2 and 2"),
        ({"norm": "ln", "num_groups": 2}, "norm=ln takes no num_groups, got 2"),
        ({"norm": "bn", "channels_per_group": 2}, "norm=bn takes no channels_per_group, got 2"),
        ({"momentum": 0.1}, "norm=gn takes no momentum, got 0.1; it takes eps"),
        ({"norm": "none", "eps": 1.0}, "norm=none takes no eps, got 1.0; it takes no options"),
        (
            {"strict": True},
            "layer 1: num_groups=32 does not divide its 24 channels; give one of 1, 2, 3, 4, 6, 8, 12",
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


class WithActivation(GroupNormConfig):
    """As norms that replace ReLU say it of themselves."""

    own_activation = True


def test_a_norm_with_an_activation_takes_that_of_a_norm_that_activates():
    make = make_of(WithActivation, Grouping(2, None, strict=True), {})
    two = nn.Sequential(BatchNormAct2d(8), BatchNormAct2d(8, apply_act=False))
    replace_norms(two, make, keeps_act=False)
    assert [norm.relu for norm in two] == [True, False] and not list(two[0].children())[1:]
    with pytest.raises(
        ValueError, match=r"^layer 0: norm=gn has an activation of its own, and BatchNorm2d leaves it"
    ):
        replace_norms(model(8), make)
