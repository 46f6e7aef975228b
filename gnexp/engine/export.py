"""A run's weights as torchvision names them, and the constructor of torchvision that takes them."""

from __future__ import annotations

import torch

from gnexp.config import ModelConfig, NormConfig, RunConfig

_EPS = 1e-5  # of torch's norms, unless told otherwise
_RESNETS: dict[tuple[str, tuple[int, ...]], str] = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}
_VGGS: dict[tuple[int, ...], str] = {
    (1, 1, 2, 2, 2): "vgg11",
    (2, 2, 2, 2, 2): "vgg13",
    (2, 2, 3, 3, 3): "vgg16",
    (2, 2, 4, 4, 4): "vgg19",
}
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
            value = (value.double().square() - norm.eps).clamp_(min=0).to(value.dtype)
            key = f"{place}.running_var"
        elif name == "done_epochs":
            value, key = torch.tensor(0), f"{place}.num_batches_tracked"
        exported[key] = value.contiguous().clone()
    return exported


def has_running_stats(norm: NormConfig) -> bool:
    """Whether a norm evaluates with running statistics, hence whether eval_stats means anything."""
    return norm.kind in ("bn", "brn")


def torchvision_constructor(run: RunConfig) -> str:
    """The Python that builds torchvision's network for a run's exported weights.

    Raises:
        ValueError: torchvision has none.
    """
    if run.data.channels != 3:
        raise ValueError(
            f"torchvision's networks take 3 channels, data={run.data.name} has {run.data.channels}; {_FIX}"
        )
    if run.model.kind == "resnet":
        return _resnet(run.model, run.norm, run.data.num_classes)
    if run.model.kind == "vgg":
        return _vgg(run.model, run.norm, run.data.num_classes)
    raise ValueError(f"torchvision has no network of model.kind={run.model.kind}; {_FIX}")


def _resnet(model: ModelConfig, norm: NormConfig, num_classes: int) -> str:
    shape = (model.stem, model.stem_stride, model.widths)
    if shape != ("conv7x7_pool", 2, (64, 128, 256, 512)):
        raise ValueError(
            f"torchvision's ResNet has a 7x7 stem and widths 64 to 512, model={model.name} has "
            f"stem={model.stem} and widths={list(model.widths)}; {_FIX}"
        )
    if norm.kind == "none":
        raise ValueError(
            f"torchvision's ResNet has a norm after every convolution, norm=none has none; {_FIX}"
        )
    arguments = f"num_classes={num_classes}{_norm_layer(norm)}"
    name = _RESNETS.get((model.block, model.blocks))
    if name:
        return f"torchvision.models.{name}({arguments})"
    block = {"basic": "BasicBlock", "bottleneck": "Bottleneck"}[model.block]
    module = "torchvision.models.resnet"
    return f"{module}.ResNet({module}.{block}, {list(model.blocks)}, {arguments})"


def _norm_layer(norm: NormConfig) -> str:
    eps = "" if norm.eps == _EPS else f", eps={norm.eps}"
    if norm.kind == "gn":
        groups = str(norm.num_groups) if norm.num_groups else f"c // {norm.channels_per_group}"
        return f", norm_layer=lambda c: torch.nn.GroupNorm({groups}, c{eps})"
    return f", norm_layer=lambda c: torch.nn.BatchNorm2d(c{eps})" if eps else ""


def _vgg(model: ModelConfig, norm: NormConfig, num_classes: int) -> str:
    name = _VGGS.get(model.blocks)
    shape = (model.widths, model.classifier_pool, model.classifier_widths)
    if name is None or shape != ((64, 128, 256, 512, 512), 7, (4096, 4096)):
        raise ValueError(
            f"torchvision's VGG has widths 64 to 512 and a classifier of 4096, model={model.name} has "
            f"blocks={list(model.blocks)}, widths={list(model.widths)} and a classifier of "
            f"{list(model.classifier_widths or ())}; {_FIX}"
        )
    if norm.kind not in ("none", "bn", "brn"):
        raise ValueError(f"torchvision's VGG takes batch normalization or no norm, not {norm.label}; {_FIX}")
    if norm.kind != "none" and norm.eps != _EPS:
        raise ValueError(f"torchvision's VGG takes no eps but {_EPS}, norm.eps is {norm.eps}; {_FIX}")
    suffix = "" if norm.kind == "none" else "_bn"
    return f"torchvision.models.{name}{suffix}(num_classes={num_classes})"
