"""Counted operations and parameters against torchvision's published numbers."""

import pytest
from torchvision.models import ResNet50_Weights, ResNet101_Weights, VGG16_BN_Weights, VGG16_Weights

from gnexp.engine.cost import count_cost
from tests.composing import COMPOSER


@pytest.mark.parametrize(
    ("model", "norm", "published"),
    [
        ("resnet50", "bn", ResNet50_Weights.IMAGENET1K_V1),
        ("resnet50", "gn", ResNet50_Weights.IMAGENET1K_V1),
        ("resnet101", "brn", ResNet101_Weights.IMAGENET1K_V1),
        ("vgg16", "none", VGG16_Weights.IMAGENET1K_V1),
        ("vgg16", "bn", VGG16_BN_Weights.IMAGENET1K_V1),
    ],
)
def test_they_are_torchvisions_published_ones(model, norm, published):
    cost = count_cost(COMPOSER.run(["scale=paper", f"model={model}", f"norm={norm}"]))
    assert cost.parameters == published.meta["num_params"]
    assert round(cost.macs / 1e9, 3) == pytest.approx(published.meta["_ops"], rel=1e-3)


def test_a_network_that_cannot_be_built_is_one_line():
    run = COMPOSER.run(["norm=gn", "norm.num_groups=3"])
    with pytest.raises(
        ValueError, match="layer bn1: groups must divide its channels evenly, got C=16 and G=3"
    ):
        count_cost(run)
