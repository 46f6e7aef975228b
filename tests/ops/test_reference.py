"""The equations against hand-made numbers and torch's own float64 kernels."""

import pytest
import torch
import torch.nn.functional as F

from gnexp.ops import reference


def test_group_norm_of_a_hand_made_example() -> None:
    x = torch.tensor([[1.0, 3.0, 10.0, 30.0]]).double()
    y = reference.group_norm(x, 2, torch.ones(4).double(), torch.zeros(4).double(), 0.0)
    assert y.tolist() == [[-1.0, 1.0, -1.0, 1.0]]


@pytest.mark.parametrize("shape", [(3, 6), (3, 6, 5), (3, 6, 4, 5), (2, 6, 3, 4, 2)])
def test_group_norm_equals_torch(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    weight, bias = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    for groups in (1, 2, 3):
        expected = F.group_norm(x, groups, weight, bias, 1e-5)
        torch.testing.assert_close(
            reference.group_norm(x, groups, weight, bias, 1e-5), expected, rtol=0, atol=1e-12
        )


def test_batch_norm_of_a_hand_made_example() -> None:
    # Worker 0 holds positions 0 and 2, worker 1 positions 1 and 3.
    x = torch.tensor([[0.0], [10.0], [2.0], [30.0]]).double()
    y, mean, variance = reference.batch_norm(x, 2, torch.ones(1).double(), torch.zeros(1).double(), 0.0)
    assert y.flatten().tolist() == [-1.0, -1.0, 1.0, 1.0]
    assert mean.flatten().tolist() == [1.0, 20.0]
    assert variance.flatten().tolist() == [1.0, 100.0]
