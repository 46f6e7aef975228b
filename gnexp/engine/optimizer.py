"""The optimizer and the learning rate, as the recipe says."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from gnexp.config import RecipeConfig, RunConfig
from gnexp.nn.norm_act import NormAct


def build_optimizer(model: nn.Module, run: RunConfig) -> torch.optim.Optimizer:
    """Over all parameters; weight decay falls on gamma and beta too unless norm_weight_decay says otherwise.

    SGD adds the decay to the gradient. AdamW (Loshchilov & Hutter 2019) takes lr times it off the weights themselves.
    """
    recipe = run.recipe
    norm_parameters = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, NormAct)
        for parameter in module.parameters()
    }
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    has_own_biases = recipe.bias_lr_factor is not None or recipe.bias_weight_decay is not None
    biases = {
        id(p)
        for name, p in trained.items()
        if has_own_biases and name.endswith("bias") and id(p) not in norm_parameters
    }
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained.values() if id(p) not in norm_parameters | biases]},
        {
            "params": [p for p in trained.values() if id(p) in biases],
            "weight_decay": recipe.weight_decay
            if recipe.bias_weight_decay is None
            else recipe.bias_weight_decay,
            "lr_factor": 1.0 if recipe.bias_lr_factor is None else recipe.bias_lr_factor,
        },
        {
            "params": [p for p in trained.values() if id(p) in norm_parameters],
            "weight_decay": recipe.weight_decay
            if recipe.norm_weight_decay is None
            else recipe.norm_weight_decay,
        },
    ]
    groups = [group for group in groups if group["params"]]
    # Fused: one kernel for all parameters, on the CPU as well.
    if recipe.momentum is None:
        assert recipe.beta1 is not None and recipe.beta2 is not None and recipe.eps is not None, (
            "filled in by RecipeConfig"
        )
        return torch.optim.AdamW(
            groups,
            lr=run.lr,
            betas=(recipe.beta1, recipe.beta2),
            eps=recipe.eps,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    return torch.optim.SGD(
        groups,
        lr=run.lr,
        momentum=recipe.momentum,
        nesterov=bool(recipe.nesterov),
        weight_decay=recipe.weight_decay,
        fused=True,
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
    num = epoch * steps_per_epoch + step
    if recipe.warmup_steps is not None and num < recipe.warmup_steps:
        assert recipe.warmup_factor is not None, "checked by RecipeConfig"
        part = num / recipe.warmup_steps
        return run.lr * (recipe.warmup_factor * (1 - part) + part)
    if done < recipe.warmup_epochs:
        return run.lr * (num + 1) / (recipe.warmup_epochs * steps_per_epoch)
    return run.lr * _factor(recipe, epoch, done)


def _factor(recipe: RecipeConfig, epoch: int, done: float) -> float:
    if recipe.schedule == "linear":
        return 1 - done / recipe.epochs
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done / recipe.epochs))
    assert recipe.milestones is not None and recipe.drop_factor is not None, "checked by RecipeConfig"
    return recipe.drop_factor ** sum(epoch >= milestone for milestone in recipe.milestones)
