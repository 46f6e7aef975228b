"""Networks of torchvision and timm, built without weights: their norms become the run's, their draws keyed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gnexp.models.kinds.foreign import ForeignConfig
from gnexp.models.tracing import Seen, inputs_of, is_channels_last, is_other_norm
from gnexp.nn.dropout import KeyedDropout, KeyedDropPath
from gnexp.nn.norm_act import ConvFactory, NormFactory, plain_conv
from gnexp.nn.replacing import replace_norms

_RGB = 3
# Classifiers beside the last one, which would have losses of their own, stay out.
ARGUMENTS: dict[str, dict[str, Any]] = {
    name: {"aux_logits": False, "init_weights": True} for name in ("googlenet", "inception_v3")
}


def build_torchvision(
    config: ForeignConfig,
    norm: NormFactory,
    *,
    channels: int,
    num_classes: int,
    conv: ConvFactory = plain_conv,
) -> nn.Module:
    """A network of torchvision; nothing is downloaded.

    For images of other than 3 channels its first convolution is one of so many: they have the kernels of the 3 in turn.

    Raises:
        ValueError: there is no such network, or it has no norm to replace, or one that cannot be.
    """
    config.check_installed()
    from torchvision.models import get_model  # takes a second

    def build(num_channels: int) -> nn.Module:
        arguments = ARGUMENTS.get(config.arch, {})
        model: nn.Module = get_model(config.arch, weights=None, num_classes=num_classes, **arguments)
        if num_channels != _RGB:
            _take_channels(model, num_channels)
        return model

    return _adopt(config, build, norm, conv, channels)


def build_timm(
    config: ForeignConfig,
    norm: NormFactory,
    *,
    channels: int,
    num_classes: int,
    conv: ConvFactory = plain_conv,
) -> nn.Module:
    """A network of timm; nothing is downloaded.

    Raises:
        ValueError: as build_torchvision.
    """
    config.check_installed()
    import timm  # takes seconds

    def build(num_channels: int) -> nn.Module:
        model: nn.Module = timm.create_model(
            config.arch, pretrained=False, num_classes=num_classes, in_chans=num_channels
        )
        return model

    return _adopt(config, build, norm, conv, channels)


def _built(build: Callable[[int], nn.Module], channels: int) -> nn.Module:
    """The network, on the default device; where that is meta, also one whose constructor reads values of tensors."""
    if torch.get_default_device().type != "meta":
        return build(channels)
    try:
        return build(channels)
    except RuntimeError:
        with torch.device("cpu"):
            return build(channels).to("meta")


@dataclass(frozen=True)
class _Sites:
    """What of a network is replaced, by name."""

    layer_norms: Mapping[str, bool]  # whether its channels come last
    convs: frozenset[str]
    kept: tuple[str, ...]  # norms that are left as they are


def _adopt(
    config: ForeignConfig,
    build: Callable[[int], nn.Module],
    norm: NormFactory,
    conv: ConvFactory,
    channels: int,
) -> nn.Module:
    """Builds a network and puts the run's norms, their convolutions and keyed draws in the places of its own."""
    try:
        sites = _sites_of(config, build)
        model = _built(build, channels)
        _key_draws(model)
        _replace_norms(model, norm, sites)
        _replace_convs(model, conv, sites)
    except (ValueError, AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"model.arch={config.arch} of {config.package} cannot be trained here: {reason}"
        ) from None
    return model


_KNOWN: dict[tuple[str, str], _Sites] = {}


def _sites_of(config: ForeignConfig, build: Callable[[int], nn.Module]) -> _Sites:
    place = (config.package, config.arch)
    if place not in _KNOWN:
        with torch.device("meta"):
            model = _built(build, _RGB)
        _key_draws(model)
        _KNOWN[place] = _look(model, inputs_of(model, _RGB))
    return _KNOWN[place]


def _look(model: nn.Module, seen: Mapping[str, Seen]) -> _Sites:
    """Chooses what is replaced.

    Every batch norm is, wherever it stands. A layer norm over channels is where it takes a map; that of tokens, or of
    what a pooling has left, stays. A norm of another class on a map is refused: else two norms would be mixed.
    """
    layer_norms: dict[str, bool] = {}
    convs, kept = set(), []
    for name, module in model.named_modules():
        if name not in seen:
            continue
        if isinstance(module, nn.LayerNorm):
            is_last = is_channels_last(module)
            is_over_channels = len(module.normalized_shape) == 1
            if is_over_channels and seen[name].is_of_images and seen[name].is_map(is_channels_last=is_last):
                layer_norms[name] = is_last
            else:
                kept.append(f"{name} ({type(module).__name__})")
        elif is_other_norm(module):
            if seen[name].is_map():
                raise ValueError(
                    f"layer {name} is {type(module).__name__}, and batch norms and layer norms alone are replaced; "
                    "take the network that has batch norms there"
                )
            kept.append(f"{name} ({type(module).__name__})")
        elif isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            if seen[name].is_map() and fan_in > 1:  # of a single weight nothing would be left
                convs.add(name)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and not seen[name].is_of_images:
            raise ValueError(
                f"layer {name} normalizes {seen[name].shape[0]} rows of 2 images, and whose worker's each is cannot "
                "be told"
            )
    return _Sites(layer_norms, frozenset(convs), tuple(kept))


def _replace_norms(model: nn.Module, norm: NormFactory, sites: _Sites) -> None:
    names = {id(model.get_submodule(name)): name for name in sites.layer_norms}

    def make(name: str, channels: int, old: nn.Module) -> nn.Module:
        new = norm(channels, relu=False)
        if sites.layer_norms.get(name):
            # Hooks and no module around the norm, so that its weights keep their names.
            new.register_forward_pre_hook(_channels_first)
            new.register_forward_hook(_channels_last)
        return new

    def channels_of(module: nn.Module) -> int | None:
        if id(module) not in names:
            return None
        assert isinstance(module, nn.LayerNorm), "chosen by _look"
        return int(module.normalized_shape[0])

    _, replaced = replace_norms(model, make, channels_of_other=channels_of)
    if not replaced:
        raise ValueError("it has no norm to replace: neither a batch norm nor a layer norm on maps")
    notes = [f"{len(replaced)} norms ({', '.join(sorted({norm.old for norm in replaced}))}) are the run's"]
    if sites.kept:
        what = f"{sites.kept[0]}{' and others' if len(sites.kept) > 1 else ''}"
        notes.append(f"{len(sites.kept)} that take no maps stay as they are: {what}")
    model.notes = notes  # type: ignore[assignment]


def _channels_first(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (inputs[0].permute(0, 3, 1, 2),)


def _channels_last(norm: nn.Module, inputs: Any, y: torch.Tensor) -> torch.Tensor:
    return y.permute(0, 2, 3, 1)


def _replace_convs(model: nn.Module, conv: ConvFactory, sites: _Sites) -> None:
    """Passes the convolutions of maps through the factory; behind one of what a pooling has left there is no norm."""
    if conv is plain_conv:
        return
    for name in sorted(sites.convs):
        old = model.get_submodule(name)
        if type(old) is not nn.Conv2d:
            raise ValueError(
                f"layer {name} is {type(old).__name__}, a convolution of its own kind, and the norm wants its "
                "convolutions in another way"
            )
        model.set_submodule(name, conv(old))


def _key_draws(model: nn.Module) -> None:
    """Puts keyed draws in the places of those from torch's global generator; a dropout that drops nothing stays."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Dropout and module.p > 0:
            model.set_submodule(name, KeyedDropout(module.p, stream=name))
        elif type(module).__name__ == "StochasticDepth" and module.p > 0:
            if module.mode != "row":
                raise ValueError(f"layer {name} drops whole batches, whose images several processes may hold")
            model.set_submodule(name, KeyedDropPath(float(module.p), stream=name))
        elif type(module).__name__ == "DropPath" and module.drop_prob:
            if not module.scale_by_keep:
                raise ValueError(f"layer {name} drops paths and does not scale those that stay")
            model.set_submodule(name, KeyedDropPath(float(module.drop_prob), stream=name))


@torch.no_grad()
def _take_channels(model: nn.Module, channels: int) -> None:
    """Puts a convolution of other channels in the place of the first."""
    name, old = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    if old.in_channels != _RGB or old.groups != 1:
        raise ValueError(f"its first convolution {name} has in_channels={old.in_channels}, not {_RGB}")
    arguments = {
        key: getattr(old, key) for key in ("kernel_size", "stride", "padding", "dilation", "padding_mode")
    }
    new = nn.Conv2d(channels, old.out_channels, bias=old.bias is not None, **arguments)
    new.weight.copy_(old.weight[:, [channel % _RGB for channel in range(channels)]])
    if old.bias is not None and new.bias is not None:
        new.bias.copy_(old.bias)
    model.set_submodule(name, new)
