"""Networks, found by their kind, and their initialisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from gnexp.config import ModelConfig
from gnexp.models.resnet import BasicBlock, Bottleneck, build_resnet
from gnexp.models.vgg import build_vgg
from gnexp.nn.norms import NormAct, NormFactory, name_norms

MODELS: dict[str, Callable[..., nn.Module]] = {"resnet": build_resnet, "vgg": build_vgg}


def build_model(
    config: ModelConfig, norm: NormFactory, *, channels: int, num_classes: int, generator: torch.Generator
) -> nn.Module:
    """Builds and initialises a network.

    He initialisation of convolutions, gamma 1 but 0 in each block's last norm, beta 0, linear layers N(0, 0.01)
    (Section 4.1), other biases 0. The draws do not depend on the norm, so that cells of one seed start from the same
    convolutions.

    Raises:
        ValueError: an unknown kind, or a norm that cannot be had on a layer.
    """
    if config.kind not in MODELS:
        raise ValueError(f"model.kind must be one of {', '.join(MODELS)}, got {config.kind}")
    model = MODELS[config.kind](config, norm, channels=channels, num_classes=num_classes)
    name_norms(model)
    _initialize(model, config, generator)
    return model


@torch.no_grad()
def _initialize(model: nn.Module, config: ModelConfig, generator: torch.Generator) -> None:
    mode: Literal["fan_in", "fan_out"] = "fan_in" if config.init_mode == "fan_in" else "fan_out"
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=config.classifier_std, generator=generator)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    if config.zero_init_last:
        for module in model.modules():
            if isinstance(module, BasicBlock | Bottleneck):
                zero_gamma(module.last_norm)


def zero_gamma(norm: NormAct) -> None:
    """Sets gamma to 0, so that a residual block starts as the identity; a norm without gamma is left alone."""
    weight = getattr(norm, "weight", None)
    if weight is not None:
        nn.init.zeros_(weight)
