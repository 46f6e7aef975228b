"""Virtual workers against separate networks, and what evaluation and loading make of the workers' statistics."""

import copy

import pytest
import torch
from torch import nn

from gnexp.config import norm_config
from gnexp.nn.norms import norm_factory
from gnexp.nn.statistics import with_eval_stats


def randn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"]
)
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_virtual_workers_equal_separate_batch_norms(workers: int, memory_format: torch.memory_format) -> None:
    """V virtual workers against V passes through nn.BatchNorm2d: outputs, gradients, every running statistic."""
    norm = norm_factory(norm_config(kind="bn", momentum=0.1), workers)(5, relu=False).double()
    weight, bias = randn(5), randn(5, seed=2)
    with torch.no_grad():
        norm.weight.copy_(weight)
        norm.bias.copy_(bias)
    separate = []
    for _ in range(workers):
        theirs = nn.BatchNorm2d(5, momentum=0.1).double()
        with torch.no_grad():
            theirs.weight.copy_(weight)
            theirs.bias.copy_(bias)
        separate.append(theirs)
    for step in range(3):
        x = (randn(workers * 3, 5, 4, 4, seed=10 + step) * 3 + 1).contiguous(memory_format=memory_format)
        ours_in, upstream = x.clone().requires_grad_(), randn(*x.shape, seed=20 + step)
        norm.zero_grad()
        y = norm(ours_in)
        # The loss is a mean over the total batch: each worker's own mean, averaged.
        (y * upstream).sum().div(len(x)).backward()
        gradients = []
        for worker, theirs in enumerate(separate):
            theirs.zero_grad()
            own = x[worker::workers].contiguous().requires_grad_()
            out = theirs(own)
            (out * upstream[worker::workers]).sum().div(len(own)).backward()
            torch.testing.assert_close(y[worker::workers], out, rtol=0, atol=1e-10)
            assert own.grad is not None and ours_in.grad is not None
            torch.testing.assert_close(ours_in.grad[worker::workers] * workers, own.grad, rtol=0, atol=1e-10)
            torch.testing.assert_close(norm.running_mean[worker], theirs.running_mean, rtol=0, atol=1e-10)
            torch.testing.assert_close(norm.running_var[worker], theirs.running_var, rtol=0, atol=1e-10)
            gradients.append((theirs.weight.grad, theirs.bias.grad))
        for ours, index in ((norm.weight.grad, 0), (norm.bias.grad, 1)):
            averaged = torch.stack([pair[index] for pair in gradients]).mean(0)
            torch.testing.assert_close(ours, averaged, rtol=0, atol=1e-10)


def test_bf16_in_channels_last_is_normalized_in_float32() -> None:
    """By the reference, where the native call on float32 gives the same but for the result's rounding."""
    norm, wide = (norm_factory(norm_config(kind="bn", momentum=0.1), 2)(5, relu=False) for _ in range(2))
    for step in range(3):
        x = (randn(8, 5, 7, 7, seed=step) * 3 + 10).to(torch.bfloat16)
        y, expected = norm(x.contiguous(memory_format=torch.channels_last)), wide(x.float())
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.float(), expected, rtol=2**-8, atol=1e-5)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(norm, name), getattr(wide, name), rtol=1e-6, atol=0)


def test_evaluation_uses_the_named_statistics() -> None:
    norm = norm_factory(norm_config(kind="bn", momentum=1.0), 2)(3, relu=False).double()
    norm(randn(8, 3, 4, 4))
    norm.eval()
    x = randn(5, 3, 4, 4, seed=3)
    for stats, mean, var in (
        ("worker0", norm.running_mean[0], norm.running_var[0]),
        ("mean", norm.running_mean.mean(0), norm.running_var.mean(0)),
    ):
        expected = nn.functional.batch_norm(x, mean, var, norm.weight, norm.bias, False, 0.0, norm.eps)
        torch.testing.assert_close(with_eval_stats(norm, stats)(x), expected)


def test_weights_of_one_worker_serve_all() -> None:
    theirs = nn.BatchNorm2d(3)
    theirs(torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)))
    norm = norm_factory(norm_config(kind="bn", momentum=0.1), 4)(3)
    norm.load_state_dict(theirs.state_dict())
    for worker in range(4):
        assert torch.equal(norm.running_mean[worker], theirs.running_mean)
        assert torch.equal(norm.running_var[worker], theirs.running_var)


def test_loading_leaves_the_given_state_dict_alone() -> None:
    state = nn.BatchNorm2d(3).state_dict()
    norm_factory(norm_config(kind="bn", momentum=0.1), 4)(3).load_state_dict(copy.copy(state))
    assert state["running_mean"].shape == (3,)
