"""SGD and the learning rate, as the recipe says."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from gnexp.config import RecipeConfig, RunConfig
from gnexp.nn.norms import NormAct


def build_optimizer(model: nn.Module, run: RunConfig) -> torch.optim.SGD:
    """SGD over all parameters; weight decay falls on gamma and beta too unless norm_weight_decay says otherwise."""
    recipe = run.recipe
    norm_parameters = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, NormAct)
        for parameter in module.parameters()
    }
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if id(p) not in norm_parameters]},
        {
            "params": [p for p in model.parameters() if id(p) in norm_parameters],
            "weight_decay": recipe.weight_decay
            if recipe.norm_weight_decay is None
            else recipe.norm_weight_decay,
        },
    ]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=run.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,  # one kernel for all parameters, on the CPU as well
    )


def lr_at(run: RunConfig, epoch: int, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step.

    Args:
        run: the run.
        epoch: counted from 0.
        step: within the epoch, counted from 0.
        steps_per_epoch: steps of every epoch.
    """
    recipe = run.recipe
    done = epoch + step / steps_per_epoch  # epochs
    if done < recipe.warmup_epochs:
        return run.lr * (epoch * steps_per_epoch + step + 1) / (recipe.warmup_epochs * steps_per_epoch)
    return run.lr * _factor(recipe, epoch, done)


def _factor(recipe: RecipeConfig, epoch: int, done: float) -> float:
    if recipe.schedule == "linear":
        return 1 - done / recipe.epochs
    assert recipe.milestones is not None and recipe.drop_factor is not None, "checked by RecipeConfig"
    return recipe.drop_factor ** sum(epoch >= milestone for milestone in recipe.milestones)
