"""Networks of torchvision and timm with the run's norms: what is replaced, what stays, and what is refused."""

import dataclasses
import json
import subprocess
import sys
from itertools import islice
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from gnexp.config import RunConfig, norm_config
from gnexp.config.keys import group_options
from gnexp.engine.cost import count_cost
from gnexp.engine.evaluate import evaluate
from gnexp.engine.state import State, build, check_shapes
from gnexp.engine.train import StepRecord, train
from gnexp.launch.launch import launch
from gnexp.models import foreign as foreign_models
from gnexp.models.build import build_model
from gnexp.models.kinds import foreign
from gnexp.models.tracing import inputs_of
from gnexp.nn.dropout import KeyedDropout, KeyedDropPath
from gnexp.nn.group_norm import GroupNormAct
from gnexp.nn.kinds.grouping import fitting_groups
from gnexp.nn.norm_act import NormAct
from gnexp.nn.norms import conv_factory, fitting_norm_factory
from gnexp.nn.statistics import EVAL_STATS
from gnexp.nn.step import Step, step_listeners
from gnexp.nn.weight_standardization import StandardizedConv2d
from gnexp.tasks.build import build_task
from tests.composing import COMPOSER
from tests.grids import thin

CPU = torch.device("cpu")
# Batch norms; with an activation of timm's; layer norms with channels first; with channels last as well, and
# stochastic depth; a dropout.
NETWORKS = {
    "timm test_resnet": "BatchNorm2d",
    "timm test_efficientnet": "BatchNormAct2d",
    "timm convnext_femto": "LayerNorm2d",
    "torchvision convnext_tiny": "LayerNorm, LayerNorm2d",
    "torchvision mobilenet_v3_small": "BatchNorm2d",
}


def run_of(network: str, *words: str) -> RunConfig:
    package, arch = network.split()
    return COMPOSER.run(
        [
            *(f"model={package}", f"model.arch={arch}", "scale=smoke", "batch=2", "workers=2", "threads=1"),
            *("data.num_train=8", "data.num_val=4", "data.sha256=null", *words),
        ]
    )


def model_of(network: str, *words: str, seed: int = 0, workers: int = 1) -> nn.Module:
    run = run_of(network, *words)
    return build_model(
        run.model,
        fitting_norm_factory(run.norm, workers),
        channels=run.data.channels,
        num_classes=run.data.num_classes,
        generator=torch.Generator().manual_seed(seed),
        conv=conv_factory(run.norm),
    )


def steps(state: State, num: int) -> list[float]:
    return [record.loss for record in islice(train(state), num) if isinstance(record, StepRecord)]


# Below a large network is looked at with one norm.
@pytest.mark.parametrize(
    "network",
    [pytest.param(n, marks=pytest.mark.slow if n == "torchvision convnext_tiny" else ()) for n in NETWORKS],
)
def test_a_network_trains_with_the_runs_norms_and_keyed_draws(network: str) -> None:
    """On images of one channel; the initial weights do not hang on the norm or on torch's global generator."""
    states = {}
    for seed, norm in enumerate(("gn", "bn")):
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        state = states[norm] = build(run_of(network, f"norm={norm}"), CPU)
        if norm == "gn":
            first = {name: value.clone() for name, value in state.model.named_parameters()}
        else:
            for name, value in state.model.named_parameters():
                assert torch.equal(value, first[name]), name
        assert len(steps(state, 2)) == 2
        evaluate(state, EVAL_STATS, epoch=1)
        assert torch.equal(before, torch.random.get_rng_state())
        (note, *others) = state.model.notes  # type: ignore[misc]
        num = sum(isinstance(module, NormAct) for module in state.model.modules())
        assert note == f"{num} norms ({NETWORKS[network]}) are the run's"
        assert len(others) == ("convnext" in network)  # behind the pooling
        assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in state.model.modules())
    moved = [
        name for name, value in states["gn"].model.named_parameters() if not torch.equal(value, first[name])
    ]
    assert len(moved) > 0.7 * len(first)  # of a ReLU that is shut nothing moves


def test_the_networks_own_initialisation_is_drawn_from_the_runs_generator() -> None:
    one, same, other = (model_of("timm test_resnet", seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["conv1.0.weight"], other["conv1.0.weight"])
    with torch.random.fork_rng(devices=[]):
        seed = int(torch.randint(2**63 - 1, (), generator=torch.Generator().manual_seed(0)))
        torch.manual_seed(seed)
        theirs = timm.create_model("test_resnet", num_classes=10, in_chans=1).state_dict()
    for name, value in theirs.items():
        assert "running" in name or "num_batches" in name or torch.equal(value, one[name]), name


def test_each_workers_images_are_normalized_alone() -> None:
    """The network of timm itself, on each worker's images alone, gives what ours gives on all of them."""
    ours = model_of("timm test_resnet", "norm=bn", workers=2).double().train()
    theirs = timm.create_model("test_resnet", num_classes=10, in_chans=1).double().train()
    theirs.load_state_dict(dict(ours.named_parameters()), strict=False)
    images = torch.randn(6, 1, 48, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = ours(images)
    for worker in (0, 1):
        torch.testing.assert_close(out[worker::2], theirs(images[worker::2]), rtol=0, atol=1e-9)


def test_layer_norms_of_either_layout_are_layer_norms_again_by_the_groups() -> None:
    """With one group a norm is over pixels as well; on a map of one pixel it is what the network had."""
    ours = model_of("torchvision convnext_tiny", "norm=ln", "norm.eps=1e-6").eval()
    theirs = torchvision.models.convnext_tiny(num_classes=10).eval()
    weights = ours.state_dict()
    theirs.features[0][0] = nn.Conv2d(1, 96, 4, 4)
    theirs.load_state_dict(weights)
    maps = torch.randn(2, 768, 1, 1)
    torch.testing.assert_close(ours.features[7](maps), theirs.features[7](maps))  # type: ignore[index,operator]


@pytest.mark.parametrize("network", thin(["torchvision mobilenet_v3_small", "torchvision convnext_tiny"]))
def test_draws_belong_to_their_images(network: str) -> None:
    """Whatever stands beside an image in a batch, and in which order: so no process and no resume changes them."""
    model = model_of(network, "norm=gn").double().train()
    assert any(isinstance(module, KeyedDropout) for module in model.modules())
    assert any(isinstance(module, KeyedDropPath) for module in model.modules()) == ("convnext" in network)
    images = torch.randn(4, 1, 32, 32, dtype=torch.float64)

    def out(order: list[int], epoch: int = 0) -> torch.Tensor:
        for listener in step_listeners(model):
            listener.begin_step(Step(0, epoch, float(epoch), np.array(order)))
        found: torch.Tensor = model(images[order])
        return found

    with torch.no_grad():
        whole = out([0, 1, 2, 3])
        for order in ([3, 1], [2, 0, 1]):
            torch.testing.assert_close(out(order), whole[order], rtol=0, atol=1e-9)
        assert not torch.equal(out([0, 1, 2, 3], epoch=1), whole)


def test_a_number_of_groups_that_does_not_divide_a_layers_channels_is_fitted_as_convert_fits_it() -> None:
    model = model_of("torchvision mobilenet_v3_small", "norm.num_groups=32")
    found = {m.channels: m.num_groups for m in model.modules() if isinstance(m, GroupNormAct)}
    assert (found[16], found[72], found[88], found[96], found[576]) == (8, 24, 22, 32, 32)
    assert found == {c: 32 if c % 32 == 0 else fitting_groups(c, 32) for c in found}
    config = norm_config(kind="gn", channels_per_group=16)
    fitted = [dataclasses.asdict(config.fitting(c))["channels_per_group"] for c in (8, 24, 40, 64)]
    assert fitted == [8, 12, 10, 16]
    assert norm_config(kind="bn", momentum=0.1).fitting(7) == norm_config(kind="bn", momentum=0.1)


def test_a_network_is_named_and_counted_by_its_arch() -> None:
    run = run_of("timm convnext_femto")
    assert run.label == "fashion_scenes-convnext_femto-gn8-batch2-seed0"
    assert run.run_id != run_of("timm convnext_pico").run_id
    rgb = run_of("torchvision resnet18", "data=imagenet", "norm=bn", "data.num_train=null")
    cost = count_cost(dataclasses.replace(rgb, data=dataclasses.replace(rgb.data, num_classes=1000)))
    assert cost.parameters == 11_689_512 and cost.macs == 1_814_073_344  # as torchvision counts them


REFUSED = {
    "torchvision alexnet": "model.arch=alexnet of torchvision cannot be trained here: it has no norm to replace",
    "timm vit_tiny_patch16_224": "it has no norm to replace: neither a batch norm nor a layer norm on maps",
    "timm resnet50_gn": "layer bn1 is GroupNorm, and batch norms and layer norms alone are replaced",
    "timm levit_128s": r"normalizes \d+ rows of 2 images",
    "torchvision inception_v3": r"does not take images of 32 x 32 pixels \(.*\); take another data.image_size",
    "torchvision resnet19": r"torchvision has no classifier model.arch=resnet19; did you mean resnet18 or ",
    "timm convnext_femtoo": r"timm has no classifier model.arch=convnext_femtoo; did you mean convnext_femto or ",
    "timm zzz": r"timm has no classifier model.arch=zzz$",
    "timm resnet18.tv_in1k": r"model.arch must be the name of a network in timm, .* got 'resnet18.tv_in1k'",
}


@pytest.mark.parametrize("network", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(network: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[network]) as caught:
        check_shapes(run := run_of(network), build_task(run.task))
    assert "\n" not in str(caught.value)


def test_an_unknown_arch_leaves_no_directory(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="has no classifier model.arch=resnet19"):
        launch(run_of("torchvision resnet19"), tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_timm_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "registered", lambda package: frozenset())
    with pytest.raises(ValueError, match=r"model=timm needs the package timm: pip install 'gnexp\[timm\]'"):
        run_of("timm resnet18").model.check_installed()


QUICK = ("gn", "sync_bn", "gn_ws", "evonorm_s0")


@pytest.mark.parametrize(
    "norm",
    [pytest.param(norm, marks=() if norm in QUICK else pytest.mark.slow) for norm in group_options("norm")],
)
def test_every_norm_trains_in_a_foreign_network_or_is_refused(norm: str) -> None:
    if COMPOSER.run([f"norm={norm}"]).norm.own_activation:
        with pytest.raises(
            ValueError, match=f"norm={norm} has an activation of its own, and so has model.arch="
        ):
            run_of("timm test_resnet", f"norm={norm}")
        return
    state = build(run_of("timm test_resnet", f"norm={norm}", "data.image_size=64"), CPU)
    assert len(steps(state, 2)) == 2


def test_convolutions_of_maps_are_those_that_the_norm_wants() -> None:
    """A squeeze-and-excitation's take what a pooling has left; the weights keep their names and values."""
    plain, standardized = (
        model_of("torchvision mobilenet_v3_small", f"norm={norm}") for norm in ("gn", "gn_ws")
    )
    for name, conv in standardized.named_modules():
        if isinstance(conv, nn.Conv2d):
            assert isinstance(conv, StandardizedConv2d) == (".fc" not in name), name
    weights = plain.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in standardized.state_dict().items())
    with pytest.raises(
        ValueError, match=r"layer blocks.1.0.conv_dw is Conv2dSame, a convolution of its own kind"
    ):
        model_of("timm tf_efficientnet_b0", "norm=gn_ws")


def test_a_draw_that_no_key_reaches_is_refused() -> None:
    class Drawing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.dropout(x.mean((2, 3)), 0.1, self.training)

    with pytest.raises(ValueError, match="draws from torch's global generator in training"):
        inputs_of(Drawing().to("meta"), 3)


def test_the_names_are_read_without_torch() -> None:
    """They are those that the packages list themselves."""
    code = (
        "import json, sys; from gnexp.models.kinds.foreign import registered; "
        "print(json.dumps([sorted(registered(p)) for p in ('torchvision', 'timm')])); "
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours, timms = json.loads(done.stdout)
    assert ours == sorted(torchvision.models.list_models(module=torchvision.models))
    assert timms == sorted(timm.list_models())


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (torchvision.ops.StochasticDepth(0.1, "batch"), "layer 0 drops whole batches"),
        (
            timm.layers.DropPath(0.1, scale_by_keep=False),
            "layer 0 drops paths and does not scale those that stay",
        ),
    ],
)
def test_what_drops_in_another_way_is_refused(layer: nn.Module, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        foreign_models._key_draws(nn.Sequential(layer))


def test_a_first_convolution_of_other_channels_than_red_green_and_blue_is_refused() -> None:
    with pytest.raises(ValueError, match="its first convolution 0 has in_channels=4, not 3"):
        foreign_models._take_channels(nn.Sequential(nn.Conv2d(4, 8, 3)), 1)
