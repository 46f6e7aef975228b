"""Other people's networks, as gnexp.convert has to take them: built without weights, on small inputs."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn
from torchvision.models.detection import backbone_utils

LARGE = 100e6  # parameters from which a network stays on the meta device


def of_torchvision(name: str, **given: Any) -> Callable[[], nn.Module]:
    module = torchvision.models.get_model_builder(name).__module__
    if ".segmentation." in module:
        given = {"weights_backbone": None, **given}
    return lambda: torchvision.models.get_model(name, weights=None, **given)


def of_timm(name: str) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name)


def detector(name: str) -> Callable[[], nn.Module]:
    sizes = {} if name.startswith("ssd") else {"min_size": 64, "max_size": 64}
    return lambda: torchvision.models.get_model(
        name, weights=None, weights_backbone=None, num_classes=3, **sizes
    )


def pyramid() -> nn.Module:
    """A backbone with frozen batch norms, as torchvision's detectors have it."""
    return backbone_utils.resnet_fpn_backbone(backbone_name="resnet18", weights=None)


def targets(name: str) -> list[dict[str, torch.Tensor]]:
    """What two images show, for a detector's losses."""
    one = {"boxes": torch.tensor([[8.0, 8.0, 40.0, 40.0]]), "labels": torch.tensor([1])}
    if name.startswith("mask"):
        one["masks"] = torch.ones(1, 64, 64, dtype=torch.uint8)
    if name.startswith("keypoint"):
        one["keypoints"] = torch.tensor([[[20.0, 20.0, 1.0]] * 17])
    return [one, one]


def tensors(outputs: Any) -> list[torch.Tensor]:
    """All floating tensors of a network's outputs, whatever they are put into."""
    if isinstance(outputs, torch.Tensor):
        return [outputs] if outputs.is_floating_point() else []
    if isinstance(outputs, dict):
        outputs = outputs.values()
    return [tensor for output in outputs if output is not None for tensor in tensors(output)]


def on_meta_if_large(build: Callable[[], nn.Module]) -> nn.Module | None:
    """The network on the meta device where it is large and has batch norm; None of any other."""
    with pytest.MonkeyPatch.context() as patch:
        # Only the parameters: some networks look at values while they are built.
        patch.setattr(nn.Module, "register_parameter", _register_on_meta)
        model = build().to("meta")
    has_batch_norm = any("BatchNorm" in type(module).__name__ for module in model.modules())
    is_large = sum(parameter.numel() for parameter in model.parameters()) > LARGE
    return model if is_large and has_batch_norm else None


_register = nn.Module.register_parameter


def _register_on_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
    _register(module, name, parameter if parameter is None else nn.Parameter(parameter.to("meta")))
