"""Detectors and generated images that the tests of detection share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gnexp.config import ModelConfig
from gnexp.models.build import build_detector
from gnexp.models.detector import DetectorInputs
from gnexp.models.mask_rcnn import MaskRCNN
from gnexp.nn.norms import conv_factory, norm_factory
from gnexp.nn.step import Step, step_listeners
from tests.composing import COMPOSER

Scene = tuple[torch.Tensor, dict[str, torch.Tensor]]

THIN = ("thin_mask_rcnn", "thin_mask_rcnn_deep", "thin_mask_rcnn_c4")
ALL_GN = ("fpn_norm=gn", "box_norm=gn", "mask_norm=gn")


def config_of(model: str, *overrides: str) -> ModelConfig:
    """A model of conf/model; overrides without their prefix."""
    return COMPOSER.run([f"model={model}", *(f"model.{override}" for override in overrides)]).model


def detector(model: str | ModelConfig, norm: str, *overrides: str, **arguments: Any) -> MaskRCNN:
    """A model of conf/model with a norm of conf/norm, in training mode."""
    config = config_of(model, *overrides) if isinstance(model, str) else model
    run = COMPOSER.run([f"norm={norm}", f"model.default_num_groups={config.default_num_groups}"])
    workers = arguments.pop("workers", 1)
    generator = torch.Generator().manual_seed(arguments.pop("seed", 0))
    given: dict[str, Any] = {
        "mean": (0.5,),
        "std": (0.25,),
        "min_size": None,
        "max_size": None,
        "num_classes": 10,
        **arguments,
    }
    inputs = DetectorInputs(workers=workers, **given)
    conv = conv_factory(run.norm)
    return build_detector(config, norm_factory(run.norm, workers), inputs, generator, conv).train()


def scene(seed: int, *, size: int = 96, channels: int = 1) -> Scene:
    """Discs and squares of 14 to 44 px on noise, 1 to 4 of them; the class is the shape and its brightness."""
    rng = np.random.default_rng(seed)
    image = 0.3 * rng.random((channels, size, size))
    rows, columns = np.mgrid[:size, :size]
    boxes, labels, masks = [], [], []
    for _ in range(rng.integers(1, 5)):
        side, label = int(rng.integers(14, 45)), int(rng.integers(1, 11))
        x, y = (int(rng.integers(0, size - side)) for _ in range(2))
        dx, dy = np.abs(columns + 0.5 - x - side / 2), np.abs(rows + 0.5 - y - side / 2)
        mask = dx**2 + dy**2 < (side / 2) ** 2 if label % 2 else np.maximum(dx, dy) < side / 2
        image[:, mask] = 0.3 + 0.07 * label
        boxes.append([x, y, x + side, y + side])
        labels.append(label)
        masks.append(mask)
    target = {
        "boxes": torch.tensor(boxes, dtype=torch.float32),
        "labels": torch.tensor(labels),
        "masks": torch.from_numpy(np.array(masks)).to(torch.uint8),
    }
    return torch.from_numpy(image).float(), target


def losses(
    model: MaskRCNN, scenes: Sequence[Scene], indices: Sequence[int], *, epoch: int = 0, workers: int = 1
) -> dict[str, torch.Tensor]:
    """A training forward pass of the scenes at the indices, the images of some workers."""
    for listener in step_listeners(model):
        listener.begin_step(Step(0, epoch, float(epoch), np.array(indices), workers))
    images, targets = zip(*(scenes[index] for index in indices), strict=True)
    found: dict[str, torch.Tensor] = model(list(images), list(targets))
    return found


def train_steps(model: MaskRCNN, num: int = 2) -> None:
    """Some steps of SGD, two images each."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    scenes = [scene(seed) for seed in range(2 * num)]
    for step in range(num):
        optimizer.zero_grad()
        torch.stack(list(losses(model, scenes, [2 * step, 2 * step + 1]).values())).sum().backward()
        optimizer.step()


def empty_target(size: int = 96) -> dict[str, torch.Tensor]:
    """Of an image with nothing on it."""
    return {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, size, size, dtype=torch.uint8),
    }
