"""What a norm averages over: which other values an output depends on, as statistics_over and takes_groups say."""

from __future__ import annotations

import torch

from gnexp.config import NormConfig
from gnexp.config.fields import value_of
from gnexp.contracts.cases import CHANNELS, CLOSE, SHAPE, WORKERS, Tensor, difference, draw, make, replaced
from gnexp.nn.statistics import batch_norms

_OWN = torch.arange(SHAPE[0]) % WORKERS == 0  # position p of a step belongs to worker p mod workers
_FIRST = torch.arange(SHAPE[0]) == 0


def averages_over_what_it_says(config: NormConfig) -> None:
    """Values outside of statistics_over change nothing, and those within do."""
    over, x = config.statistics_over, draw()
    y, says = make(config)(x), f"statistics_over is {over!r}, but"

    def moved(masks: list[Tensor]) -> float:
        """How far values of the first image that are kept move with all that is not, at most."""
        found = [0.0]
        for kept in masks:
            here = kept.view(*kept.shape, *[1] * (x.dim() - kept.dim())).expand_as(x)[0]
            found.append(difference(make(config)(replaced(x, kept))[0][here], y[0][here]))
        return max(found)

    alone = [torch.zeros(SHAPE, dtype=torch.bool) for _ in range(CHANNELS)]
    for channel, kept in enumerate(alone):
        kept[0, channel, 0, 0] = True
    # What an output may depend on, and what is less than that.
    enough, too_few, fault = {
        None: (alone, None, "a value depends on others"),
        "sample": ([_FIRST], alone, "an image depends on other images"),
        "worker": ([_OWN], [_FIRST], "a worker's images depend on another worker's"),
        "all_workers": ([], [_OWN], ""),
    }[over]
    assert moved(enough) < CLOSE, f"{says} {fault}"
    if too_few is not None:
        assert moved(too_few) > 1e-6, f"{says} what it averages over changes nothing"


def takes_images_in_any_order(config: NormConfig) -> None:
    """A permutation of the images of one worker permutes what comes out."""
    x, order = draw(), torch.tensor([2, 0, 3, 1])
    y = make(config, workers=1)(x)
    assert difference(make(config, workers=1)(x[order]), y[order]) < CLOSE, "the order of the images matters"


def virtual_workers_are_workers(config: NormConfig) -> None:
    """V of them in one layer do what V layers of one do; of a norm over all workers their number changes nothing."""
    x = draw()
    y = make(config)(x)
    if config.statistics_over == "worker":
        for worker in range(WORKERS):
            alone = make(config, workers=1)(x[worker::WORKERS])
            assert difference(y[worker::WORKERS], alone) < CLOSE, f"worker {worker} is not a layer of its own"
    else:
        alone = make(config, workers=1)(x)
        assert difference(y, alone) < CLOSE, "the number of workers changes what comes out"


def workers_can_be_taken_in_passes(config: NormConfig) -> None:
    """workers_per_pass changes nothing, unless statistics cross the workers, which then have to be in one pass."""
    if config.statistics_over == "all_workers":
        assert config.needs_resident_workers, "statistics over all workers need needs_resident_workers = True"
    whole, parts = make(config), make(config)
    if config.needs_resident_workers or not batch_norms(whole):
        return
    x = draw()
    y = whole(x)
    for worker in range(WORKERS):
        for layer in batch_norms(parts):
            layer.take_workers(slice(worker, worker + 1))
        own = parts(x[worker::WORKERS])
        assert difference(own, y[worker::WORKERS]) < CLOSE, "a pass of one worker differs from the whole step"
    for (name, a), b in zip(whole.named_buffers(), parts.buffers(), strict=True):
        assert difference(a, b) < CLOSE, f"{name} differs after passes of one worker"


def keeps_groups_apart(config: NormConfig) -> None:
    """Of a norm with groups the channels of one depend on no other's."""
    if not config.takes_groups:
        return
    groups = value_of(config, "num_groups") or CHANNELS // int(value_of(config, "channels_per_group"))
    kept = torch.zeros(SHAPE[:2], dtype=torch.bool)
    kept[:, : CHANNELS // groups] = True
    x = draw()
    found, expected = make(config)(replaced(x, kept)), make(config)(x)
    inside = difference(found[:, : CHANNELS // groups], expected[:, : CHANNELS // groups])
    assert inside < CLOSE, "takes_groups is True, but a group depends on another group's channels"
