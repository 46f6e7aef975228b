"""Synchronized batch norm is nn.BatchNorm2d over all images of a step, whichever process holds them."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from gnexp.config import norm_config
from gnexp.nn.norms import norm_factory
from gnexp.nn.peers import Peers
from gnexp.nn.statistics import alike, with_eval_stats, with_precise_stats
from gnexp.nn.sync_batch_norm import SyncBatchNormAct
from gnexp.ops import reference
from tests.nn import sync_group
from tests.nn.sync_group import CHANNELS, CONFIG, LAYOUTS, SHARES, give_affine, images, randn, upstream
from tests.warm import run_group

layouts = pytest.mark.parametrize("layout", list(LAYOUTS))


def make(workers: int = 4) -> SyncBatchNormAct:
    norm = norm_factory(CONFIG, workers)(CHANNELS, relu=False).double()
    assert isinstance(norm, SyncBatchNormAct)
    give_affine(norm)
    return norm


def torchs() -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(CHANNELS, momentum=0.1).double()
    give_affine(norm)
    return norm


def assert_same(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@layouts
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_virtual_workers_are_one_batch(workers: int, layout: str) -> None:
    """Outputs, gradients and running statistics of nn.BatchNorm2d, and the reference's equation, over four steps."""
    ours, theirs = make(workers), torchs()
    for step in range(4):
        x = (randn(8, CHANNELS, 4, 4, seed=step) * 3 + 100).contiguous(memory_format=LAYOUTS[layout])
        found = []
        for norm in (ours, theirs):
            norm.zero_grad()
            own = x.clone().requires_grad_()
            y = norm(own)
            (y * randn(*x.shape, seed=30 + step)).sum().backward()
            running = norm.running_mean.clone(), norm.running_var.clone()
            found.append([y, own.grad, norm.weight.grad, norm.bias.grad, *running])
        assert_same(*found)
        expected, _, _ = reference.batch_norm(x, 1, ours.weight, ours.bias, ours.eps)
        assert_same(found[0][0], expected)


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[dict[str, torch.Tensor]]]]:
    """What each of two processes found."""
    out = tmp_path_factory.mktemp("sync") / "found.pt"
    run_group(2, sync_group.main, out)
    found: list[dict[str, list[dict[str, torch.Tensor]]]] = torch.load(out, weights_only=True)
    return found


@pytest.mark.dist
@layouts
def test_processes_are_one_batch_however_uneven(
    spread: list[dict[str, list[dict[str, torch.Tensor]]]], layout: str
) -> None:
    """Five images and three, eight and none, none and none: each value counts alike, and none waits in vain."""
    theirs = torchs()
    for step, shares in enumerate(SHARES):
        of_ranks = [found[layout][step] for found in spread]
        for name in ("mean", "var"):  # the same bits
            assert torch.equal(of_ranks[0][name], of_ranks[1][name])
        theirs.zero_grad()
        if sum(shares):
            x = images(step).requires_grad_()
            y = theirs(x)
            (y * upstream(step)).sum().backward()
            assert theirs.weight.grad is not None and theirs.bias.grad is not None
            assert_same(torch.cat([of_rank["y"] for of_rank in of_ranks]), y.detach())
            assert_same(torch.cat([of_rank["x"] for of_rank in of_ranks]), x.grad)
            for name in ("weight", "bias"):  # each process's own part: the engine averages them
                assert_same(of_ranks[0][name] + of_ranks[1][name], getattr(theirs, name).grad)
        assert_same(of_ranks[0]["mean"], theirs.running_mean)
        assert_same(of_ranks[0]["var"], theirs.running_var)


def test_its_names_and_shapes_are_torchvisions() -> None:
    ours, theirs = make(), torchs()
    assert {name: value.shape for name, value in ours.state_dict().items()} == {
        name: value.shape for name, value in theirs.state_dict().items()
    }
    theirs(randn(8, CHANNELS, 4, 4, seed=1))
    ours.load_state_dict(theirs.state_dict())
    x = randn(3, CHANNELS, 4, 4, seed=2)
    assert_same(ours.eval()(x), theirs.eval()(x))


def test_worker_0s_statistics_serve_where_weights_have_those_of_several() -> None:
    worker_norm = norm_factory(norm_config(kind="bn", momentum=0.1), 2)(CHANNELS).double()
    worker_norm(randn(8, CHANNELS, 4, 4, seed=1))
    ours = make()
    ours.load_state_dict(worker_norm.state_dict())
    assert torch.equal(ours.running_mean, worker_norm.running_mean[0])


def test_there_is_one_set_of_statistics_and_a_precise_one() -> None:
    norm = make()
    assert [alike(norm, stats) for stats in ("worker0", "mean", "precise")] == [
        "worker0",
        "worker0",
        "precise",
    ]
    norm(randn(8, CHANNELS, 4, 4, seed=1))
    x = randn(3, CHANNELS, 4, 4, seed=2)
    assert torch.equal(with_eval_stats(norm, "mean")(x), copy.deepcopy(norm).eval()(x))
    # Batches of other sizes, as a detector's heads have: each value counts alike.
    batches = [randn(num, CHANNELS, 4, 4, seed=num) * 2 + 7 for num in (2, 6, 4)]
    precise = with_precise_stats(norm, [(batch, slice(0, 1)) for batch in batches])
    every = torch.cat(batches)
    assert_same(precise.running_mean, every.mean((0, 2, 3)))
    assert_same(precise.running_var, every.var((0, 2, 3), correction=0))


def test_a_single_value_is_refused_and_one_of_several_processes_is_not() -> None:
    with pytest.raises(ValueError, match="more than one value per channel.* of all workers; raise batch"):
        make()(torch.zeros(1, CHANNELS, 1, 1, dtype=torch.float64))
    with torch.device("meta"):
        norm = norm_factory(CONFIG, 1)(CHANNELS)
        assert isinstance(norm, SyncBatchNormAct)
        norm.peers = Peers(world_size=8)
        assert norm(torch.zeros(1, CHANNELS, 1, 1)).shape == (1, CHANNELS, 1, 1)


def test_half_precision_over_processes_keeps_its_statistics_wide() -> None:
    """Of one process among itself, through the code for several."""
    x = (randn(8, CHANNELS, 7, 7, seed=3) * 3 + 10).to(torch.bfloat16)
    ours, theirs = make().float(), torchs().float()
    y, expected = ours.normalize_together(x.requires_grad_()), theirs(x.detach().float())
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), expected, rtol=2**-8, atol=1e-4)
    y.sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.bfloat16
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=1e-5, atol=0)


def test_a_second_gradient_over_processes_is_refused() -> None:
    norm = make()
    norm.peers = Peers(world_size=2)  # of which the other holds nothing
    y = norm(randn(4, CHANNELS, 3, 3, seed=1).requires_grad_())
    with pytest.raises(RuntimeError, match="over several processes has no second gradient"):
        torch.autograd.grad(y.square().sum(), norm.weight, create_graph=True)
