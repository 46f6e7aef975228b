"""The distribution of one layer's output, epoch by epoch (Figure 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from gnexp.data.dataset import Batch
from gnexp.engine.state import State
from gnexp.nn.peers import ALONE
from gnexp.nn.statistics import batch_norms, with_eval_stats, with_precise_stats
from gnexp.nn.sync_batch_norm import sync_norms

_PERCENTILES = (1, 20, 80, 99)  # Figure 6
_NUM_IMAGES = 500  # of val, the first
_EVAL_SIZE = 100  # images at once; evaluation is the same at every size


@runtime_checkable
class Probed(Protocol):
    """A model that has a layer to probe."""

    @property
    def probed_layer(self) -> nn.Module:
        """The layer, in the model."""
        ...


def probe(state: State) -> dict[str, float]:
    """Percentiles of the probed layer's output over the first images of val, in evaluation with worker 0's statistics.

    The first process looks, the others wait for it: the images are few.

    The layer's whole output counts: all images, channels and places. For VGG that is its last convolution, bias
    included, before norm and ReLU (Figure 6).

    Returns:
        `probe/p1`, `probe/p20`, `probe/p80` and `probe/p99`; nothing for a model without a probed layer. Not finite
        where the output is not.
    """
    # The first process, which alone looks, holds worker 0.
    return _look(state, "probe/p", lambda: with_eval_stats(state.model, "worker0"))


def probe_start(state: State) -> dict[str, float]:
    """The same before training, as `probe/start_p1` and so on.

    There are no running statistics yet, by which batch norm would do nothing, so those of the very images serve; where
    weights were loaded, theirs do.
    """
    return _look(state, "probe/start_p", lambda: _started(state))


def _look(state: State, prefix: str, take: Callable[[], nn.Module]) -> dict[str, float]:
    if not isinstance(state.model, Probed):
        return {}
    found: dict[str, float] = {}
    if state.processes.is_first:
        values = _percentiles(state, take())
        found = {
            f"{prefix}{percent}": float(value) for percent, value in zip(_PERCENTILES, values, strict=True)
        }
    return dict(state.processes.from_first(found))


def _started(state: State) -> nn.Module:
    model = with_eval_stats(state.model, "worker0")
    if state.run.init is not None or not batch_norms(model):
        return model
    for norm in sync_norms(model):
        norm.peers = ALONE  # the other processes wait
    with state.autocast():
        # As one worker's, so that it is the same however many there are.
        return with_precise_stats(model, ((batch.images, slice(0, 1)) for batch in _images(state)))


def _images(state: State) -> Iterator[Batch]:
    order = np.arange(min(_NUM_IMAGES, state.dataset.num_val))
    steps = [order[i : i + _EVAL_SIZE] for i in range(0, len(order), _EVAL_SIZE)]
    return state.dataset.val_batches(steps)


def _percentiles(state: State, model: nn.Module) -> list[float]:
    assert isinstance(model, Probed), "a copy is of its original's type"
    outputs: list[torch.Tensor] = []

    def keep(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        outputs.append(
            output.detach().flatten().to("cpu", torch.float32, copy=True)
        )  # a ReLU in place follows

    model.probed_layer.register_forward_hook(keep)
    with state.autocast():
        state.task.measure(model, _images(state), state.dataset)
    with np.errstate(invalid="ignore"):  # between infinities
        return list(np.percentile(torch.cat(outputs).numpy(), _PERCENTILES, overwrite_input=True))
