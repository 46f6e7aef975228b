"""Batch renormalization against Algorithm 1: each worker alone, no gradient through the correction, and the ramp."""

import copy

import numpy as np
import pytest
import torch

from gnexp.config import norm_config
from gnexp.nn.batch_renorm import BatchRenormAct
from gnexp.nn.norms import norm_factory
from gnexp.nn.statistics import with_eval_stats, with_precise_stats
from gnexp.nn.step import Step, step_listeners
from gnexp.ops import reference

CONFIG = norm_config(kind="brn", momentum=0.1, r_max=1.5, d_max=0.5, renorm_ramp=(0.125, 0.625, 1.0))


def randn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(channels: int = 5, workers: int = 1, *, epochs: float = 2.0) -> BatchRenormAct:
    norm = norm_factory(CONFIG, workers)(channels, relu=False).double()
    assert isinstance(norm, BatchRenormAct)
    with torch.no_grad():
        norm.weight.copy_(randn(channels, seed=3))
        norm.bias.copy_(randn(channels, seed=4))
    tell(norm, epochs)
    return norm


def tell(norm: torch.nn.Module, epochs: float) -> None:
    for listener in step_listeners(norm):
        listener.begin_step(Step(0, int(epochs), epochs, np.arange(1)))


@pytest.mark.parametrize("epochs", [0.0, 0.5, 2.0], ids=["plain", "ramp", "full"])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_equals_the_reference_worker_by_worker(workers: int, epochs: float) -> None:
    """Outputs, gradients and running statistics over four steps, float64, to 1e-10."""
    norm = make(workers=workers, epochs=epochs)
    mean, std = torch.zeros(workers, 5).double(), torch.ones(workers, 5).double()
    corrected = 0
    for step in range(4):
        x = randn(workers * 3, 5, 4, 4, seed=10 + step) * 2 + 1
        ours_in, their_in = x.clone().requires_grad_(), x.clone().requires_grad_()
        upstream = randn(*x.shape, seed=20 + step)
        norm.zero_grad()
        y = norm(ours_in)
        (y * upstream).sum().backward()
        weight, bias = (p.detach().clone().requires_grad_() for p in (norm.weight, norm.bias))
        expected, batch_mean, batch_std = reference.batch_renorm(
            their_in, workers, weight, bias, norm.eps, mean, std, *norm.bounds
        )
        (expected * upstream).sum().backward()
        for ours, theirs in (
            (y, expected),
            (ours_in.grad, their_in.grad),
            (norm.weight.grad, weight.grad),
            (norm.bias.grad, bias.grad),
        ):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
        r, d = reference.renorm_correction(batch_mean, batch_std, mean, std, *norm.bounds)
        corrected += int((r != 1).sum() + (d != 0).sum())
        mean = mean + 0.1 * (batch_mean.detach() - mean)
        std = std + 0.1 * (batch_std.detach() - std)
        torch.testing.assert_close(norm.running_mean, mean, rtol=0, atol=1e-10)
        torch.testing.assert_close(norm.running_std, std, rtol=0, atol=1e-10)
    assert (corrected > 0) == (epochs > 0.125), "the test must have seen a correction"


def test_channels_last_gives_what_contiguous_gives() -> None:
    """The former takes the reference, the latter the native call."""
    plain, folded = make(workers=2), make(workers=2)
    for step in range(3):
        x, upstream = randn(6, 5, 4, 4, seed=10 + step) * 2 + 1, randn(6, 5, 4, 4, seed=20 + step)
        found = []
        for norm, memory_format in ((plain, torch.channels_last), (folded, torch.contiguous_format)):
            own = x.contiguous(memory_format=memory_format).requires_grad_()
            norm.zero_grad()
            y = norm(own)
            (y * upstream).sum().backward()
            found.append((y, own.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_std))
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_bf16_in_channels_last_is_normalized_in_float32() -> None:
    """As for batch norm; the running statistics correct each later batch, so an error in them would grow."""
    norm, wide = make(workers=2).float(), make(workers=2).float()
    for step in range(3):
        x = (randn(8, 5, 7, 7, seed=step) * 2 + 1).to(torch.bfloat16)
        y, expected = norm(x.contiguous(memory_format=torch.channels_last)), wide(x.float())
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y.float(), expected, rtol=2**-8, atol=1e-5)
    for name in ("running_mean", "running_std"):
        torch.testing.assert_close(getattr(norm, name), getattr(wide, name), rtol=1e-6, atol=0)


def test_algorithm_1_by_hand() -> None:
    """One channel, values 0 and 4: mu_B = 2, sigma_B = 2; mu = 1, sigma = 1; r = 1.5 of 2, d = 0.5 of 1."""
    x = torch.tensor([[0.0], [4.0]], dtype=torch.float64, requires_grad=True)
    one = torch.ones(1, dtype=torch.float64)
    y, mean, std = reference.batch_renorm(
        x, 1, 3 * one, 7 * one, 0.0, one.view(1, 1), one.view(1, 1), 1.5, 0.5
    )
    assert y.flatten().tolist() == pytest.approx([3 * (-1 * 1.5 + 0.5) + 7, 3 * (1 * 1.5 + 0.5) + 7])
    assert (mean.item(), std.item()) == (2.0, 2.0)


def test_the_reference_is_algorithm_1_with_every_bound_met() -> None:
    """Written again with nothing shared: r and d are the reference's and the fast path's alike."""
    workers, r_max, d_max, eps = 2, 1.5, 0.5, 1e-5
    x, weight, bias = randn(8, 6, 3, 3, seed=5), randn(6, seed=6), randn(6, seed=7)
    mean, std = randn(workers, 6, seed=8), randn(workers, 6, seed=9).exp()
    ours_in, their_in = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, _, _ = reference.batch_renorm(ours_in, workers, weight, bias, eps, mean, std, r_max, d_max)
    expected = torch.zeros_like(x)
    met = set()
    for worker in range(workers):
        for channel in range(6):
            own = their_in[worker::workers, channel]
            mu, sigma = mean[worker, channel].item(), std[worker, channel].item()
            mu_b = own.sum() / own.numel()
            sigma_b = (eps + ((own - mu_b) ** 2).sum() / own.numel()) ** 0.5
            r, d = sigma_b.item() / sigma, (mu_b.item() - mu) / sigma
            met |= {name for name, is_met in (
                ("r low", r < 1 / r_max), ("r high", r > r_max), ("r", 1 / r_max < r < r_max),
                ("d low", d < -d_max), ("d high", d > d_max), ("d", -d_max < d < d_max),
            ) if is_met}  # fmt: skip
            r, d = min(max(r, 1 / r_max), r_max), min(max(d, -d_max), d_max)
            expected[worker::workers, channel] = (
                weight[channel] * ((own - mu_b) / sigma_b * r + d) + bias[channel]
            )
    assert len(met) == 6, f"the test must have seen both bounds of both and neither, saw {met}"
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-10)
    upstream = randn(*x.shape, seed=10)
    (y * upstream).sum().backward()
    (expected * upstream).sum().backward()
    torch.testing.assert_close(ours_in.grad, their_in.grad, rtol=0, atol=1e-10)


def test_no_gradient_goes_through_the_correction() -> None:
    """With r and d held, y is batch norm scaled by r: its gradient sums to 0 over the batch, as batch norm's does."""
    norm, x = make(), randn(6, 5, 4, 4).requires_grad_()
    (norm(x) * randn(6, 5, 4, 4, seed=2)).sum().backward()
    assert x.grad is not None
    assert float(x.grad.sum((0, 2, 3)).abs().max()) < 1e-10


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (0, (1, 0)),
        (0.125, (1, 0)),
        (0.375, (1 + 0.5 * 2 / 7, 0.25)),
        (0.625, (1 + 0.5 * 4 / 7, 0.5)),
        (1, (1.5, 0.5)),
        (9, (1.5, 0.5)),
    ],
)
def test_ramp(epochs: float, expected: tuple[float, float]) -> None:
    assert make(epochs=epochs).bounds == pytest.approx(expected)


def test_before_the_ramp_it_is_batch_norm() -> None:
    plain = norm_factory(norm_config(kind="bn", momentum=0.1), 2)(5, relu=False).double()
    norm, x = make(workers=2, epochs=0.1), randn(8, 5, 4, 4)
    plain.load_state_dict({**plain.state_dict(), "weight": norm.weight, "bias": norm.bias})
    torch.testing.assert_close(norm(x), plain(x), rtol=0, atol=1e-12)


def test_the_checkpoint_holds_statistics_and_ramp() -> None:
    norm = make(workers=2, epochs=0.5)
    norm(randn(8, 5, 4, 4))
    loaded = make(workers=2, epochs=0.0)
    loaded.load_state_dict(copy.deepcopy(norm.state_dict()))
    assert loaded.bounds == norm.bounds != (1.0, 0.0)
    x = randn(8, 5, 4, 4, seed=5)
    assert torch.equal(loaded(x), norm(x)) and torch.equal(loaded.running_std, norm.running_std)


def test_evaluation_uses_the_named_statistics() -> None:
    norm = make(workers=2)
    norm(randn(8, 5, 4, 4))
    x = randn(3, 5, 4, 4, seed=6)

    def by(mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        shape = (1, 5, 1, 1)
        return (x - mean.view(shape)) / std.view(shape) * norm.weight.view(shape) + norm.bias.view(shape)

    worker0, mean = (with_eval_stats(norm, stats)(x) for stats in ("worker0", "mean"))
    torch.testing.assert_close(worker0, by(norm.running_mean[0], norm.running_std[0]))
    torch.testing.assert_close(mean, by(norm.running_mean.mean(0), norm.running_std.mean(0)))
    batches = [randn(8, 5, 4, 4, seed=seed) * 2 + 1 for seed in (7, 8)]
    pooled = torch.cat(batches)
    variance, center = torch.var_mean(pooled, (0, 2, 3), correction=0)
    before = copy.deepcopy(norm.state_dict())
    precise = with_precise_stats(norm, [(images, slice(0, 2)) for images in batches])(x)
    torch.testing.assert_close(precise, by(center, (variance + norm.eps).sqrt()))
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
