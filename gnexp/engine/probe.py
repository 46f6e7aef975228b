"""The distribution of one layer's output, epoch by epoch (Figure 6)."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from gnexp.engine.state import State
from gnexp.nn.statistics import with_eval_stats

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
    if not isinstance(state.model, Probed):
        return {}
    found = _percentiles(state) if state.processes.is_first else {}
    return dict(state.processes.from_first(found))


def _percentiles(state: State) -> dict[str, float]:
    model = with_eval_stats(state.model, "worker0")  # the first process holds worker 0
    assert isinstance(model, Probed), "a copy is of its original's type"
    outputs: list[torch.Tensor] = []

    def keep(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        outputs.append(
            output.detach().flatten().to("cpu", torch.float32, copy=True)
        )  # a ReLU in place follows

    model.probed_layer.register_forward_hook(keep)
    order = np.arange(min(_NUM_IMAGES, state.dataset.num_val))
    steps = [order[i : i + _EVAL_SIZE] for i in range(0, len(order), _EVAL_SIZE)]
    with state.autocast():
        state.task.measure(model, state.dataset.val_batches(steps), state.dataset)
    with np.errstate(invalid="ignore"):  # between infinities
        values = np.percentile(torch.cat(outputs).numpy(), _PERCENTILES, overwrite_input=True)
    return {f"probe/p{percent}": float(value) for percent, value in zip(_PERCENTILES, values, strict=True)}
