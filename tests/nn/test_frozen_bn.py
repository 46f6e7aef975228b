"""Frozen batch normalization against torchvision's, and against the trained batch normalization that it stands for."""

import pytest
import torch
from torchvision.ops import FrozenBatchNorm2d

from gnexp.config import norm_config
from gnexp.models.build import zero_gamma
from gnexp.nn.frozen_bn import FrozenBatchNormAct
from gnexp.nn.norms import norm_factory


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def batch_norm_weights(workers: int) -> dict[str, torch.Tensor]:
    """A trained batch norm's state, each worker with statistics of its own."""
    trained = norm_factory(norm_config(kind="bn", momentum=0.1), workers)(8).double()
    generator = torch.Generator().manual_seed(2)
    return {
        key: torch.rand(value.shape, generator=generator, dtype=torch.float64) + 0.5 if value.dim() else value
        for key, value in trained.state_dict().items()
    }


def frozen(relu: bool = False) -> FrozenBatchNormAct:
    return FrozenBatchNormAct(8, eps=1e-5, relu=relu).double()


def test_it_is_torchvisions() -> None:
    theirs, ours, weights = FrozenBatchNorm2d(8).double(), frozen(), batch_norm_weights(1)
    ours.load_state_dict({key: value.reshape(-1, 8)[0] for key, value in weights.items() if value.dim()})
    theirs.load_state_dict(ours.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    torch.testing.assert_close(ours(randn(4, 8, 5, 3)), theirs(randn(4, 8, 5, 3)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("workers", [1, 4])
def test_it_is_a_trained_batch_norm_in_evaluation(workers: int) -> None:
    """In training mode too; of several workers' statistics, worker 0's."""
    trained = norm_factory(norm_config(kind="bn", momentum=0.1), workers)(8).double()
    weights = batch_norm_weights(workers)
    trained.load_state_dict(weights)
    ours = frozen(relu=True).train()
    ours.load_state_dict(weights)
    x, residual = randn(4, 8, 5, 3), randn(4, 8, 5, 3).flip(0)
    torch.testing.assert_close(ours(x, residual), trained.eval()(x, residual), rtol=0, atol=1e-12)


def test_nothing_of_it_trains_or_moves() -> None:
    norm = frozen().train()
    norm.load_state_dict(batch_norm_weights(1))
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    x = randn(4, 8, 5, 3).requires_grad_()
    norm(x).sum().backward()
    assert list(norm.parameters()) == [] and x.grad is not None and bool((x.grad != 0).all())
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())


def test_a_gamma_that_cannot_train_does_not_start_at_zero() -> None:
    """It would stay there, and its block would never do anything."""
    norm = frozen()
    zero_gamma(norm)
    assert norm.weight.unique().tolist() == [1.0]


def test_half_precision_stays_half() -> None:
    x = randn(2, 8, 4, 4).bfloat16()
    y = frozen().float()(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, x)
