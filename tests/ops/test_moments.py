"""Channel moments against torch.var_mean, where a shortcut through E[x^2] would show."""

import pytest
import torch

from gnexp.ops.moments import channel_moments


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 7), (6, 5, 4, 3), (2, 5, 2, 3, 2)], ids=str)
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_equals_var_mean(shape: tuple[int, ...], memory_format: str) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1e3
    if memory_format == "channels_last":
        if len(shape) != 4:
            pytest.skip("a format of images")
        x = x.contiguous(memory_format=torch.channels_last)
    expected, mean = torch.var_mean(x, [0, *range(2, x.dim())], correction=0)
    found = channel_moments(x)
    torch.testing.assert_close(found[0], mean, rtol=0, atol=1e-10)
    torch.testing.assert_close(found[1], expected, rtol=0, atol=1e-10)


def test_a_constant_channel_has_no_variance() -> None:
    mean, variance = channel_moments(torch.full((4, 2, 3, 3), 7.0))
    assert mean.tolist() == [7.0, 7.0] and variance.tolist() == [0.0, 0.0]


def test_single_precision_far_from_zero() -> None:
    x = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + 1e3
    assert float((channel_moments(x)[1] - torch.var(x.double(), (0, 2, 3), correction=0)).abs().max()) < 1e-3
