"""What a norm keeps: its state and how that travels, running statistics, gamma, what is frozen."""

from __future__ import annotations

import copy

import torch
from torch import nn

from gnexp.config import NormConfig
from gnexp.contracts.cases import CHANNELS, CLOSE, WORKERS, difference, draw, make, state_of
from gnexp.nn.statistics import batch_norms


def its_state_is_all_that_it_knows(config: NormConfig) -> None:
    """A layer that loads another's state does the same, so that a checkpoint resumes a run."""
    norm, other = make(config), make(config, seed=9)
    norm(draw())
    other.load_state_dict(norm.state_dict())
    for mode in (True, False):
        same = difference(other.train(mode)(draw(seed=3)), norm.train(mode)(draw(seed=3)))
        assert same == 0, "a layer with the same state does something else"


def copies_are_apart(config: NormConfig) -> None:
    """Evaluation works on a deep copy of the model."""
    norm = make(config)
    before, other = state_of(norm), copy.deepcopy(norm)
    other(draw())
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} is shared with a deep copy"


def keeps_running_stats_as_it_says(config: NormConfig) -> None:
    """Without them training changes no buffer, and evaluation does as training.

    With them each worker has a row, or all workers have one set.
    """
    norm, x = make(config), draw()
    before = state_of(norm)
    trained = norm(x)
    changed = {name for name, value in norm.state_dict().items() if not torch.equal(value, before[name])}
    if not config.has_running_stats:
        assert not changed, f"has_running_stats is False, but training changes {', '.join(sorted(changed))}"
        assert difference(norm.eval()(x), trained) < CLOSE, (
            "has_running_stats is False, but evaluation differs"
        )
        return
    assert changed, "has_running_stats is True, but training changes no buffer"
    # Evaluation under other statistics looks for those.
    assert batch_norms(norm) == [norm], "has_running_stats is True: the layer must be a WorkerNormAct"
    is_of_each = config.statistics_over == "worker"
    for name in changed:
        shape = tuple(norm.state_dict()[name].shape)
        wanted = (WORKERS, CHANNELS) if is_of_each else (CHANNELS,)
        assert shape == wanted, (
            f"{name} must be {wanted}, got {shape}: statistics are over {config.statistics_over}"
        )
    after = state_of(norm)
    y = norm.eval()(x)
    assert difference(norm(x[:1]), y[:1]) < CLOSE, "in evaluation an image depends on the others"
    for name, value in norm.state_dict().items():
        assert torch.equal(value, after[name]), f"evaluation changes {name}"


def starts_from_gamma_as_it_says(config: NormConfig) -> None:
    """A gamma of 0 at a block's end leaves the residual alone (zero_init_last); it is the parameter `weight`."""
    norm = make(config)
    weight = dict(norm.named_parameters()).get("weight")
    has_gamma = weight is not None and weight.requires_grad
    assert has_gamma == config.trains_gamma, f"trains_gamma is {config.trains_gamma}, the parameter {weight}"
    if weight is None or not has_gamma:
        return
    assert weight.shape == (CHANNELS,), f"gamma must be ({CHANNELS},), got {tuple(weight.shape)}"
    with torch.no_grad():
        for name in ("weight", "bias"):
            if isinstance(parameter := getattr(norm, name, None), nn.Parameter):
                parameter.zero_()
    assert difference(norm(draw()), norm(draw(seed=2))) < CLOSE, (
        "with a gamma of 0 the input still comes through"
    )


def trains_nothing_that_it_freezes(config: NormConfig) -> None:
    """A frozen norm has no parameter that trains."""
    training = [name for name, p in make(config).named_parameters() if p.requires_grad]
    if config.freezes:
        assert not training, f"it freezes {config.freezes}, but {', '.join(training)} trains"
