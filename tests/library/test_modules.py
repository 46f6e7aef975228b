"""The norms as modules: they take the place of torch's."""

import inspect

import pytest
import torch
import torch.fx
from torch import nn

import gnexp
from gnexp.nn.batch_norm import BatchNormAct
from gnexp.ops import reference


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(3, 8), (3, 8, 5), (3, 8, 4, 5), (3, 8, 2, 4, 5)])
@pytest.mark.parametrize("affine", [True, False])
def test_group_norm_takes_the_place_of_torchs(shape, affine):
    torchs = nn.GroupNorm(2, 8, 1e-3, affine, dtype=torch.float64)
    ours = gnexp.GroupNorm(2, 8, 1e-3, affine, dtype=torch.float64)
    for parameter in torchs.parameters():
        nn.init.normal_(parameter)
    ours.load_state_dict(torchs.state_dict())
    assert isinstance(ours, nn.GroupNorm) and ours.state_dict().keys() == torchs.state_dict().keys()
    x, residual = randn(*shape).requires_grad_(), randn(*shape)
    torch.testing.assert_close(ours(x), torchs(x))
    both = [torch.autograd.grad(norm(x).square().sum(), [x, *norm.parameters()]) for norm in (ours, torchs)]
    torch.testing.assert_close(*both)
    ours.relu = True
    torch.testing.assert_close(ours(x, residual), (torchs(x) + residual).relu())


def test_the_op_has_torchs_defaults():
    x = randn(2, 6, 3)
    torch.testing.assert_close(gnexp.group_norm(x, 3), nn.functional.group_norm(x, 3))
    weight = randn(6)
    half = gnexp.group_norm(x.bfloat16(), 3, bias=weight.float())
    torch.testing.assert_close(
        half.double(), nn.functional.group_norm(x, 3, None, weight), rtol=0.05, atol=0.05
    )


CLASSES = {
    gnexp.GroupNorm: nn.GroupNorm,
    gnexp.GroupRMSNorm: nn.GroupNorm,
    gnexp.EvoNormS0: nn.GroupNorm,
    gnexp.LayerNorm2d: None,  # torch has none with channels
    gnexp.FilterResponseNorm: None,
    gnexp.GhostBatchNorm: nn.BatchNorm2d,
    gnexp.BatchRenorm: nn.BatchNorm2d,
}


@pytest.mark.parametrize("cls", CLASSES)
def test_arguments_are_torchs_in_torchs_order(cls):
    torchs = CLASSES[cls]
    own = [p.name for p in inspect.signature(cls).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if torchs is None:
        assert own == ["num_channels", "eps", "affine", "device", "dtype"]
    else:
        theirs = inspect.signature(torchs).parameters
        assert own == [key for key in theirs if key not in ("track_running_stats", "bias")]
    numbers = (2, 8) if torchs is nn.GroupNorm else (8,)
    norm = cls(*numbers, affine=False, device="meta", dtype=torch.float64)
    assert not {"weight", "bias"} & {*dict(norm.named_parameters()), *norm.state_dict()}
    for tensor in [*cls(*numbers, device="meta", dtype=torch.float64).parameters(), *norm.buffers()]:
        assert tensor.is_meta and tensor.dtype in (torch.float64, torch.long)
    x = torch.randn(2, 8, 3, 3)
    torch.testing.assert_close(cls(*numbers, affine=False)(x), cls(*numbers)(x))
    assert cls(*numbers, affine=False)(x).isfinite().all()


def test_a_bias_can_be_left_out():
    norm = gnexp.GroupNorm(2, 8, bias=False)
    assert norm.bias is None and norm(torch.randn(2, 8, 3)).isfinite().all()


def test_one_value_per_group_is_refused():
    with pytest.raises(
        ValueError, match=r"^one value per group .* got input \(2, 8, 1, 1\) and num_groups=8"
    ):
        gnexp.GroupNorm(8, 8)(torch.randn(2, 8, 1, 1))


def test_group_norm_is_one_operation_to_a_tracer():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), gnexp.GroupNorm(2, 8))
    traced = torch.fx.symbolic_trace(model)
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(traced(x), model(x))


def test_ghost_batch_norm_normalizes_each_worker_alone_and_loads_torchs_weights():
    torchs, ours = nn.BatchNorm2d(8).double(), gnexp.GhostBatchNorm(8, workers=2, dtype=torch.float64)
    ours.load_state_dict(torchs.state_dict())
    x = randn(6, 8, 3, 3)
    y = ours(x)
    for worker in range(2):
        torch.testing.assert_close(y[worker::2], torchs(x[worker::2]))
    first = nn.BatchNorm2d(8).double()
    first(x[0::2])
    torch.testing.assert_close(ours.eval()(x), first.eval()(x))
    assert isinstance(ours, BatchNormAct) and ours.num_features == 8


def test_batch_renorm_has_the_bounds_that_it_is_given():
    norm = gnexp.BatchRenorm(8, r_max=1.0, d_max=0.0, dtype=torch.float64)
    x = randn(6, 8, 3, 3) * 3 + 2
    torch.testing.assert_close(norm(x), nn.BatchNorm2d(8).double()(x))  # plain batch norm
    norm.r_max, norm.d_max = 3.0, 5.0
    mean, std = norm.running_mean.clone(), norm.running_std.clone()
    expected, _, _ = reference.batch_renorm(x, 1, norm.weight, norm.bias, norm.eps, mean, std, 3.0, 5.0)
    torch.testing.assert_close(norm(x), expected)
    assert norm.state_dict().keys() == {"weight", "bias", "running_mean", "running_std"}


@pytest.mark.parametrize("cls", [*CLASSES], ids=lambda cls: cls.__name__)
def test_a_repr_tells_that_there_is_no_affine_map(cls):
    numbers = (2, 8) if "num_groups" in inspect.signature(cls).parameters else (8,)
    assert "affine=False" in repr(cls(*numbers, affine=False))
    assert "affine=False" not in repr(cls(*numbers))
