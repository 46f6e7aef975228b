"""Networks of whatever kind, and their initialisation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from gnexp.config import ModelConfig
from gnexp.config.fields import value_of
from gnexp.config.kinds import import_text
from gnexp.config.task import DETECTION
from gnexp.models.detector import DetectorInputs
from gnexp.models.resnet import BasicBlock, Bottleneck
from gnexp.nn.norm_act import ConvFactory, NormAct, NormFactory, plain_conv
from gnexp.nn.norms import name_norms

if TYPE_CHECKING:
    from gnexp.models.mask_rcnn import MaskRCNN


def build_model(
    config: ModelConfig,
    norm: NormFactory,
    *,
    channels: int,
    num_classes: int,
    generator: torch.Generator,
    conv: ConvFactory = plain_conv,
) -> nn.Module:
    """Builds and initialises a network.

    He initialisation of convolutions, gamma 1 but 0 in each block's last norm, beta 0, linear layers N(0, 0.01)
    (Section 4.1), other biases 0. A foreign network initialises itself. The draws do not depend on the norm, so that
    cells of one seed start from the same convolutions.

    Raises:
        ValueError: a detector's kind, or a norm that does not fit on a layer.
    """
    if config.task == DETECTION:
        raise ValueError(
            f"model={config.name} is a detector: it needs task.kind=detection, and data with boxes"
        )
    with _drawing_from(generator) if config.is_foreign else contextlib.nullcontext():
        model: nn.Module = import_text(config.builder)(
            config, norm, channels=channels, num_classes=num_classes, conv=conv
        )
    name_norms(model)
    if not config.is_foreign:
        _initialize(model.modules(), config, generator)
    return model


@contextlib.contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Has what draws from torch's global generator draw from a seed of another one; the global one is left as it is."""
    seed = int(torch.randint(2**63 - 1, (), generator=generator, device="cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def build_detector(
    config: ModelConfig,
    norm: NormFactory,
    inputs: DetectorInputs,
    generator: torch.Generator,
    conv: ConvFactory = plain_conv,
) -> MaskRCNN:
    """Builds and initialises a detector.

    Of one generator its backbone starts as the classifier of the same blocks and widths does; the rest as Detectron's
    (`gnexp.models.mask_rcnn.initialize_heads`).

    Args:
        config: of a detector.
        norm: the backbone's; those of a detector's other sites are in config.
        inputs: what it is built for.
        generator: of all weights.
        conv: what the backbone's norm makes of its convolutions.

    Raises:
        ValueError: no detector, or a norm that does not fit on a layer.
    """
    if config.task != DETECTION:
        raise ValueError(f"model={config.name} is no detector: choose another model=")
    # Here, since torchvision takes a second, which a classifier's run does without.
    from gnexp.models.mask_rcnn import initialize_heads

    model: MaskRCNN = import_text(config.builder)(config, norm, inputs, conv)
    name_norms(model)
    _initialize((module for part in model.classifier_parts() for module in part.modules()), config, generator)
    initialize_heads(model, generator)
    return model


@torch.no_grad()
def _initialize(modules: Iterable[nn.Module], config: ModelConfig, generator: torch.Generator) -> None:
    modules = list(modules)
    mode: Literal["fan_in", "fan_out"] = "fan_in" if value_of(config, "init_mode") == "fan_in" else "fan_out"
    for module in modules:
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=value_of(config, "classifier_std"), generator=generator)
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    if value_of(config, "zero_init_last"):
        for module in modules:
            if isinstance(module, BasicBlock | Bottleneck):
                zero_gamma(module.last_norm)


def zero_gamma(norm: NormAct) -> None:
    """Sets gamma to 0, so that a residual block starts as the identity; a norm that trains no gamma is left alone."""
    weight = dict(norm.named_parameters()).get("weight")
    if weight is not None:
        nn.init.zeros_(weight)
