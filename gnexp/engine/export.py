"""A run's weights as torchvision names them, and the constructor of torchvision that takes them."""

from __future__ import annotations

import torch

from gnexp.config import NormConfig, RunConfig
from gnexp.config.fields import value_of

_FIX = "use format=safetensors, which keeps the names and needs no constructor"


def export_weights(
    weights: dict[str, torch.Tensor], norm: NormConfig, eval_stats: str
) -> dict[str, torch.Tensor]:
    """A run's weights with one set of running statistics, under torch's names.

    Batch renormalization evaluates as batch normalization does; its running std has eps inside the root, so the
    variance that gives equal outputs is its square without eps.

    Args:
        weights: the run's own, running statistics (workers, C).
        norm: the run's.
        eval_stats: worker0 or mean.
    """
    assert eval_stats in ("worker0", "mean"), eval_stats
    exported: dict[str, torch.Tensor] = {}
    for key, value in weights.items():
        place, _, name = key.rpartition(".")
        if name in ("running_mean", "running_var", "running_std") and value.dim() == 2:  # frozen: one for all
            value = value[0] if eval_stats == "worker0" else value.mean(0)
        if name == "running_std":
            # Rounding may leave less than nothing where a channel is constant.
            value = (value.double().square() - value_of(norm, "eps")).clamp_(min=0).to(value.dtype)
            key = f"{place}.running_var"
        elif name == "done_epochs":
            value, key = torch.tensor(0), f"{place}.num_batches_tracked"
        exported[key] = value.contiguous().clone()
    return exported


def torchvision_constructor(run: RunConfig) -> str:
    """The Python that builds torchvision's network for a run's exported weights.

    Raises:
        ValueError: torchvision has none.
    """
    if run.data.channels != 3:
        raise ValueError(
            f"torchvision's networks take 3 channels, data={run.data.name} has {run.data.channels}; {_FIX}"
        )
    try:
        return run.model.torchvision_constructor(run.norm, run.data.num_classes)
    except ValueError as error:
        raise ValueError(f"{error}; {_FIX}") from None
