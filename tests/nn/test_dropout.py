"""Keyed dropout: each mask is its image's own, in each epoch another."""

import numpy as np
import pytest
import torch

from gnexp.nn.dropout import KeyedDropout
from gnexp.nn.step import Step, step_listeners


def masks(
    p: float = 0.5, *, seed: int = 0, epoch: int = 0, indices: list[int], stream: str = "a"
) -> torch.Tensor:
    """What ones become, (N, 3, 5, 67)."""
    dropout = KeyedDropout(p, stream=stream).train()
    dropout.begin_step(Step(seed, epoch, float(epoch), np.array(indices)))
    out: torch.Tensor = dropout(torch.ones(len(indices), 3, 5, 67))
    return out


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_it_drops_its_share_and_keeps_the_mean(p: float) -> None:
    out = masks(p, indices=list(range(200)))
    dropped = out == 0
    assert float(dropped.float().mean()) == pytest.approx(p, abs=0.005)
    torch.testing.assert_close(out[~dropped].unique(), torch.tensor([1 / (1 - p)]))
    # Within an image too: neighbours fall apart from each other, both halves of a draw included.
    flat = dropped.flatten(1).double().numpy()
    for lag in (1, 2):
        assert abs(np.corrcoef(flat[:, lag:].ravel(), flat[:, :-lag].ravel())[0, 1]) < 0.012


def test_a_mask_belongs_to_its_image() -> None:
    together = masks(indices=[5, 3, 8])
    assert torch.equal(together[1], masks(indices=[3])[0])
    assert torch.equal(together.flip(0), masks(indices=[8, 3, 5]))
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"indices": [8]}, {"stream": "b"}], ids=str)
def test_every_part_of_the_key_counts(change: dict[str, object]) -> None:
    first, other = masks(indices=[7]), masks(**{"indices": [7], **change})  # type: ignore[arg-type]
    assert 0.4 < float((first == other).float().mean()) < 0.6


def test_a_mask_is_fixed_for_ever() -> None:
    # A change here would silently change every run with dropout; recipe.version would have to rise.
    found = (masks(indices=[0])[0, 0, 0, :16] > 0).int().tolist()
    assert found == [1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1]


def test_a_compiled_network_draws_the_same_masks() -> None:
    network = torch.nn.Sequential(torch.nn.Identity(), KeyedDropout(0.5, stream="a")).train()
    compiled = torch.compile(network, backend="eager")
    x = torch.ones(4, 3, 5, 67)
    for epoch in range(3):
        network[1].begin_step(Step(0, epoch, float(epoch), np.arange(4)))
        expected = masks(epoch=epoch, indices=list(range(4)))
        assert torch.equal(network(x), expected) and torch.equal(compiled(x), expected)


def test_the_gradient_passes_where_the_value_does() -> None:
    dropout = KeyedDropout(0.5, stream="a").train()
    dropout.begin_step(Step(0, 0, 0.0, np.arange(4)))
    x = torch.randn(4, 9, dtype=torch.float64, requires_grad=True)
    out = dropout(x)
    out.sum().backward()
    assert out.dtype == torch.float64
    assert torch.equal(out, x * x.grad)  # type: ignore[operator]


def test_no_global_randomness_is_used() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
    masks(indices=[0, 1])
    assert torch.equal(before, torch.get_rng_state())
    assert (numpys == np.random.get_state()[1]).all()


def test_in_evaluation_and_at_p_0_it_is_the_identity_and_needs_no_step() -> None:
    x = torch.ones(2, 3)
    assert KeyedDropout(0.5, stream="a").eval()(x) is x
    assert KeyedDropout(0.0, stream="a").train()(x) is x


def test_the_meta_device_has_shapes_alone() -> None:
    assert KeyedDropout(0.5, stream="a").train()(torch.ones(2, 3, device="meta")).shape == (2, 3)


def test_training_without_a_step_says_which_dropout() -> None:
    dropout = KeyedDropout(0.5, stream="classifier.2").train()
    assert step_listeners(torch.nn.Sequential(dropout)) == [dropout]
    with pytest.raises(AssertionError, match="dropout classifier.2: begin_step must come before"):
        dropout(torch.ones(2, 3))
    dropout.begin_step(Step(0, 0, 0.0, np.arange(3)))
    with pytest.raises(AssertionError, match="told of 3 images, got a batch of 2"):
        dropout(torch.ones(2, 3))
