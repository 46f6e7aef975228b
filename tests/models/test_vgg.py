"""VGG-16 against torchvision's, with batch norm and plain: the same keys, and with its weights the same outputs."""

import pytest
import torch
import torchvision

from gnexp.config import ModelConfig, NormConfig, norm_config
from gnexp.engine.state import check_shapes
from gnexp.models.build import build_model
from gnexp.models.vgg import VGG
from gnexp.nn.norms import norm_factory
from gnexp.tasks.build import build_task
from tests.composing import COMPOSER
from tests.grids import thin

BN = norm_config(kind="bn", momentum=0.1)
GN = norm_config(num_groups=8)
NONE = norm_config(kind="none")
VGG16, THIN = (COMPOSER.run([f"model={name}"]).model for name in ("vgg16", "thin_vgg"))


def build(config: ModelConfig, norm: NormConfig, *, seed: int = 0, classes: int = 1000) -> VGG:
    generator = torch.Generator().manual_seed(seed)
    model = build_model(config, norm_factory(norm, 1), channels=3, num_classes=classes, generator=generator)
    assert isinstance(model, VGG)
    return model


@pytest.mark.parametrize(("norm", "theirs"), thin([(BN, "vgg16_bn"), (NONE, "vgg16")]), ids=["bn", "none"])
def test_vgg16_is_torchvisions(norm: NormConfig, theirs: str) -> None:
    """On torchvision's own tensors, since two networks of 138 million parameters would take twice the time."""
    expected = getattr(torchvision.models, theirs)(weights=None).eval()
    generator = torch.Generator().manual_seed(1)
    for name, value in expected.state_dict().items():
        # Fresh ones are 0 and 1 and would hide a mixed-up key.
        if "running_mean" in name or name.endswith("bias"):
            value.normal_(0, 0.1, generator=generator)
        elif "running_var" in name:
            value.uniform_(0.5, 2, generator=generator)
    with torch.device("meta"):
        ours = build(VGG16, norm)
    assert list(ours.state_dict()) == list(expected.state_dict())
    ours.load_state_dict(expected.state_dict(), assign=True)  # refuses another shape
    x = torch.randn(2, 3, 64, 64, generator=generator)
    with torch.no_grad():
        logits = expected(x)
        torch.testing.assert_close(ours.eval()(x), logits, rtol=0, atol=1e-4)
    assert float(logits.std()) > 0.05


def test_the_keys_are_the_same_with_every_norm_but_for_its_own() -> None:
    plain = set(build(THIN, NONE).state_dict())
    assert {key.split(".")[0] for key in plain} == {"features", "classifier"}
    with_bn, with_gn = (
        {key for key in build(THIN, norm).state_dict() if key.endswith("weight")} for norm in (BN, GN)
    )
    assert with_bn == with_gn


def test_thin_vgg_is_vgg16_four_times_narrower_and_ends_in_a_1x1_map() -> None:
    model, full = build(THIN, GN, classes=10), VGG16
    assert THIN.blocks == full.blocks and [4 * width for width in THIN.widths] == list(full.widths)
    maps: list[torch.Size] = []
    model.features.register_forward_hook(lambda module, inputs, output: maps.append(output.shape))
    assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert maps == [torch.Size([2, 128, 1, 1])]
    convs = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(convs) == 13 and model.probed_layer is convs[-1]


def test_images_that_the_poolings_leave_nothing_of_are_refused_in_one_line() -> None:
    """fashion_mnist's 28 pixels: before training, on shapes alone."""
    run = COMPOSER.run(["scale=smoke", "model=thin_vgg", "data=fashion_embedded", "norm=bn"])
    with pytest.raises(ValueError, match="5 stages needs images of at least 32 pixels a side, got 28 x 28"):
        check_shapes(run, build_task(run.task))


@pytest.mark.parametrize("norm", [NONE, BN, GN], ids=["none", "bn", "gn"])
def test_initialisation(norm: NormConfig) -> None:
    """He, fan out, with or without a norm; linear layers N(0, 0.04); every bias 0."""
    model = build(THIN, norm)
    weight = model.probed_layer.get_parameter("weight")
    assert float(weight.detach().std()) == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.01)
    for name in ("classifier.0", "classifier.3"):
        weight = model.get_parameter(f"{name}.weight")
        assert float(weight.detach().std()) == pytest.approx(0.04, rel=0.01)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert parameter.unique().tolist() == [0.0], name


def test_thin_vggs_logits_start_as_large_as_vgg16s() -> None:
    """What classifier_std is chosen for: within a factor of 2, where VGG-16's own 0.01 would give a hundredth."""
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        full, thin = (float(build(config, NONE).eval()(x).std()) for config in (VGG16, THIN))
    assert 0.5 < thin / full < 2


def test_the_seed_fixes_the_weights_whatever_the_norm() -> None:
    weights = [
        [
            m.weight
            for m in build(THIN, norm, seed=seed).modules()
            if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)
        ]
        for norm, seed in ((NONE, 0), (BN, 0), (GN, 0), (GN, 1))
    ]
    plain, *others, other_seed = weights
    for found in others:
        assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(plain, other_seed, strict=True))


def test_without_a_norm_the_bias_is_the_convolutions_own() -> None:
    """One bias per channel, not a norm's and a convolution's that sum to one."""
    model = build(THIN, NONE)
    names = [name for name, parameter in model.named_parameters() if name.startswith("features")]
    assert len(names) == 2 * 13
    assert all(isinstance(model.get_submodule(name.rpartition(".")[0]), torch.nn.Conv2d) for name in names)
