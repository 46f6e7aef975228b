"""That anybody's batch norms are found, replaced with all that they hold, or refused by name."""

import copy
import pickle
import warnings

import pytest
import torch
import torch.ao.nn.intrinsic.qat as qat
from timm.layers import BatchNormAct2d, FrozenBatchNormAct2d, SyncBatchNormAct
from timm.layers.split_batchnorm import SplitBatchNorm2d
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torchvision.ops.misc import FrozenBatchNorm2d

import gnexp
from gnexp.nn.replaceable import has_act
from gnexp.nn.replacing import replace_norms

MAPS = {1: (2, 8, 5), 2: (2, 8, 3, 3), 3: (2, 8, 2, 3, 3)}


class MyBatchNorm(nn.BatchNorm2d):
    """Batch norm that says how it was built, and computes the same."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.Sigmoid()  # which its forward does not run


class Doubled(nn.BatchNorm2d):
    def forward(self, x):
        return 2 * super().forward(x)


class ForeignFrozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(8))


def group_norm(name, channels, old):
    return nn.GroupNorm(4, channels)


def randomized(norm):
    with torch.no_grad():
        for key in ("weight", "bias"):
            if getattr(norm, key) is not None:
                getattr(norm, key).copy_(torch.rand(8))
    return norm


@pytest.mark.parametrize(
    ("norm", "dims"),
    [
        (nn.BatchNorm1d(8), 1),
        (nn.BatchNorm2d(8), 2),
        (nn.BatchNorm3d(8), 3),
        (nn.SyncBatchNorm(8), 2),
        (FrozenBatchNorm2d(8), 2),
        (MyBatchNorm(8), 2),
        (BatchNormAct2d(8), 2),
        (BatchNormAct2d(8, apply_act=False), 2),
        (FrozenBatchNormAct2d(8), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_weight_and_bias_of_every_batch_norm_go_into_the_new_norm(norm, dims):
    model = nn.Sequential(nn.Identity(), nn.Sequential(randomized(norm)))
    x = torch.randn(MAPS[dims])
    expected = nn.functional.group_norm(x, 4, norm.weight, norm.bias)
    if has_act(norm):
        expected = expected.relu()
    same, replaced = replace_norms(model, group_norm)
    assert same is model and isinstance(model[1][0], nn.GroupNorm)
    assert [(r.names, r.channels, r.old) for r in replaced] == [(("1.0",), 8, type(norm).__name__)]
    assert replaced[0].new is model[1][0] and replaced[0].was_frozen == ("Frozen" in type(norm).__name__)
    torch.testing.assert_close(model(x), expected)


def test_parameters_stay_the_same_objects_so_that_an_optimizer_stays_right():
    norm = nn.BatchNorm2d(8)
    norm.bias.requires_grad_(False)
    new, _ = replace_norms(norm, group_norm)
    assert new.weight is norm.weight and new.bias is norm.bias
    assert new.weight.requires_grad and not new.bias.requires_grad


@pytest.mark.parametrize("norm", [FrozenBatchNorm2d(8), nn.BatchNorm2d(8, affine=False)])
def test_what_was_not_trained_is_not_trained(norm):
    new, _ = replace_norms(norm, group_norm)
    assert not new.weight.requires_grad and not new.bias.requires_grad


def test_dtype_device_and_mode_are_kept_but_not_of_what_has_its_own():
    def make(name, channels, old):
        new = nn.GroupNorm(4, channels)
        new.register_buffer("steps", torch.tensor(3))
        new.register_buffer("own", torch.ones(channels))
        return new

    model = nn.Sequential(nn.BatchNorm2d(8).half().eval(), nn.BatchNorm2d(8, device="meta", affine=False))
    replace_norms(model, make)
    assert not model[0].training and model[1].training
    assert model[0].weight.dtype == model[0].own.dtype == torch.half and model[0].steps.dtype == torch.long
    assert model[0].steps == 3
    assert model[1].weight.is_meta and model[1].own.is_meta


def test_a_shared_norm_is_replaced_once():
    shared = nn.BatchNorm2d(8)
    block = nn.Sequential(shared)
    model = nn.ModuleDict({"a": block, "b": block, "c": nn.ModuleList([shared, nn.BatchNorm2d(8)])})
    _, replaced = replace_norms(model, group_norm)
    assert [r.names for r in replaced] == [("a.0", "b.0", "c.0"), ("c.1",)]
    assert model["a"][0] is model["c"][0] is replaced[0].new and model["c"][1] is replaced[1].new
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_a_model_that_is_a_norm_is_returned_as_the_new_one():
    new, replaced = replace_norms(nn.BatchNorm2d(8), group_norm)
    assert replaced[0].name == "" and replaced[0].new is new


def timm_norm():
    norm = BatchNormAct2d(8, act_layer=nn.PReLU, drop_layer=lambda: nn.Dropout(1.0))
    with torch.no_grad():
        norm.act.weight.fill_(0.5)
    return norm


@pytest.mark.parametrize("is_synchronized", [False, True])
def test_drop_and_act_follow_by_their_names(is_synchronized):
    norm = timm_norm()
    keys = {key for key in norm.state_dict() if "running" not in key and "num_batches" not in key}
    if is_synchronized:
        sync = SyncBatchNormAct(8)
        sync.drop, sync.act = norm.drop, norm.act
        norm = sync
    model, _ = replace_norms(nn.Sequential(norm).eval(), group_norm)
    assert set(model[0].state_dict()) == keys == {"weight", "bias", "act.weight"}
    x = torch.randn(MAPS[2])
    expected = nn.functional.prelu(nn.functional.group_norm(x, 4), torch.tensor([0.5]))
    for same in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(same.eval()(x), expected)
        assert not same.train()(x).any()  # all is dropped


def test_act_does_not_follow_a_norm_that_has_its_own():
    model, _ = replace_norms(nn.Sequential(timm_norm()).eval(), group_norm, keeps_act=False)
    x = torch.randn(MAPS[2])
    torch.testing.assert_close(model(x), nn.functional.group_norm(x, 4))
    assert not model.train()(x).any()


def test_other_norms_are_replaced_where_asked():
    def channels(module):
        return module.normalized_shape[0] if isinstance(module, nn.LayerNorm) else None

    model = nn.Sequential(nn.LayerNorm(8), nn.BatchNorm2d(8), nn.InstanceNorm2d(8, track_running_stats=True))
    _, replaced = replace_norms(model, group_norm, channels_of_other=channels)
    assert [r.old for r in replaced] == ["LayerNorm", "BatchNorm2d"]
    assert not replace_norms(model, group_norm)[1]


HOOKS = [name for name in dir(nn.Module) if name.startswith("register_") and name.endswith("_hook")]


def hooked(register):
    norm = nn.BatchNorm2d(8)
    getattr(norm, register)(lambda *given: None)
    return norm


class Activated(nn.BatchNorm2d):
    def __call__(self, x):
        return super().__call__(x).relu()


class DoubledGroupNorm(gnexp.GroupNorm):
    def forward(self, input, residual=None):
        return 2 * super().forward(input, residual)


class DoubledBatchNorm(gnexp.GhostBatchNorm):
    def forward(self, x, residual=None):
        return 2 * super().forward(x, residual)


class Scaled(nn.BatchNorm2d):
    """Its parent reads what it holds."""

    def __init__(self, channels):
        super().__init__(channels)
        self.gain = nn.Parameter(torch.ones(channels))


class Counting(nn.BatchNorm2d):
    def __init__(self, channels):
        super().__init__(channels)
        self.head = nn.Module()
        self.head.register_buffer("seen", torch.zeros(()))


def patched(norm):
    forward = norm.forward
    norm.forward = lambda x: forward(x).relu()
    return norm


def scripted(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(module)


@pytest.mark.parametrize(
    ("norm", "words"),
    [
        (nn.LazyBatchNorm2d(), "run the model once first"),
        (Doubled(8), "Doubled is a batch norm with a forward of its own"),
        (SplitBatchNorm2d(8), "SplitBatchNorm2d is a batch norm with a forward of its own"),
        (ForeignFrozen(), "ForeignFrozen is a batch norm with a forward of its own"),
        (weight_norm(nn.BatchNorm2d(8), dim=None), "is parametrized"),
        *((hooked(register), "has hooks") for register in HOOKS),
        (Activated(8), "Activated is called in a way of its own"),
        (patched(nn.BatchNorm2d(8)), "BatchNorm2d is called in a way of its own"),
        (DoubledGroupNorm(4, 8), "DoubledGroupNorm is GroupNorm with a forward of its own"),
        (DoubledBatchNorm(8), "DoubledBatchNorm is .* with a forward of its own"),
        (patched(gnexp.LayerNorm2d(8)), "LayerNorm2d is called in a way of its own"),
        (Scaled(8), "Scaled holds gain beside what a batch norm holds"),
        (Counting(8), r"Counting holds head\.seen beside"),
        (scripted(nn.BatchNorm2d(8)), "BatchNorm2d is compiled to TorchScript"),
        (scripted(nn.BatchNorm2d(8, track_running_stats=False)), "BatchNorm2d is compiled to TorchScript"),
        (scripted(FrozenBatchNorm2d(8)), "FrozenBatchNorm2d is compiled to TorchScript"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_kept_is_refused_by_name_and_nothing_is_changed(norm, words):
    model = nn.Sequential(nn.BatchNorm2d(8), nn.Sequential(norm))
    before = list(model.modules())
    with pytest.raises(ValueError, match=rf"^layer 1\.0: .*{words}"):
        replace_norms(model, group_norm)
    assert list(model.modules()) == before


def test_a_compiled_part_is_refused_for_the_norm_in_it_alone():
    with pytest.raises(ValueError, match=r"^layer 0\.1: BatchNorm2d is compiled to TorchScript"):
        replace_norms(
            nn.Sequential(scripted(nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)))), group_norm
        )
    others = scripted(nn.Sequential(nn.Conv2d(3, 8, 1), nn.InstanceNorm2d(8, track_running_stats=True)))
    model, replaced = replace_norms(nn.Sequential(others, nn.BatchNorm2d(8)), group_norm)
    assert [norm.name for norm in replaced] == ["1"] and model[0] is others


@pytest.mark.parametrize("name", [name for name in dir(qat) if "Bn" in name])
def test_a_layer_that_computes_with_its_norms_statistics_is_refused(name):
    qconfig = torch.ao.quantization.get_default_qat_qconfig()
    layer = getattr(qat, name)(*(3, 8) if "Linear" in name else (3, 8, 1), qconfig=qconfig)
    norm = layer.bn
    with pytest.raises(ValueError, match=rf"^layer 0: .*\.{name} computes with the running statistics"):
        replace_norms(nn.Sequential(layer, nn.BatchNorm2d(8)), group_norm)
    assert layer.bn is norm


def test_what_make_raises_changes_nothing():
    def make(name, channels, old):
        if name == "1":
            raise ValueError("no")
        return nn.GroupNorm(4, channels)

    model = nn.Sequential(nn.BatchNorm2d(8), nn.BatchNorm2d(8))
    with pytest.raises(ValueError, match="no"):
        replace_norms(model, make)
    assert type(model[0]) is type(model[1]) is nn.BatchNorm2d


def test_a_parameter_of_another_shape_is_refused():
    with pytest.raises(
        ValueError, match=r"^layer 0: GroupNorm has a weight of shape \(16,\) where BatchNorm2d"
    ):
        replace_norms(nn.Sequential(nn.BatchNorm2d(8)), lambda name, channels, old: nn.GroupNorm(4, 16))
