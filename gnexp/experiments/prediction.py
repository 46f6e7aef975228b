"""A finished run's network, ready to predict."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gnexp.config import RunConfig
from gnexp.config.fields import require
from gnexp.engine.initial_weights import load_initial_weights
from gnexp.experiments.finished import final_weights, read_classes
from gnexp.nn.statistics import with_eval_stats
from gnexp.runs.directory import named_run_dir
from gnexp.runs.result import Result
from gnexp.runs.spec import load_spec
from gnexp.tasks.build import build_task

_STATS = ("worker0", "mean")  # precise statistics need the training images: gnexp export has them


class Predictor(nn.Module):
    """A network that takes images as its data set has them, of uint8 or of floats in [0, 1], of any precision.

    It normalizes pixels and does nothing else to them: the size that the run evaluated at is run.data.image_size.

    Args:
        network: of the run, which takes normalized images, or normalizes them itself.
        run: what was trained.
        normalizes_itself: whether the network does.
        class_names: in the order of the logits; None where the data set has none.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        run: RunConfig,
        *,
        normalizes_itself: bool,
        class_names: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.run = run
        self.normalizes_itself = normalizes_itself
        self.class_names = class_names
        # (C,), of pixel values in [0, 1]
        self.register_buffer("mean", torch.tensor(run.data.mean), persistent=False)
        self.register_buffer("std", torch.tensor(run.data.std), persistent=False)

    def forward(self, images: torch.Tensor | Sequence[torch.Tensor]) -> Any:
        """What the network says of some images.

        Args:
            images: (N, C, H, W), (N, C, T, H, W) for a network of videos; a detector takes (C, H, W) each, of any size.

        Returns:
            (N, num_classes) logits; of a detector boxes, labels and scores of each image, as torchvision has them, and
            a sequence of its masks, (1, H, W) each.

        Raises:
            ValueError: neither uint8 nor floats, or another number of channels.
        """
        if self.normalizes_itself:
            return self.network([self._scaled(image, 0) for image in images])
        axes = "(N, C, T, H, W)" if self.run.model.has_frames else "(N, C, H, W)"
        if not isinstance(images, torch.Tensor) or images.dim() != axes.count(",") + 1:
            shape = list(images.shape) if isinstance(images, torch.Tensor) else type(images).__name__
            raise ValueError(f"images must be one tensor of {axes}, got {shape}")
        per_channel = (-1, *[1] * (images.dim() - 2))
        scaled = self._scaled(images, 1)
        return self.network(scaled.sub(self.mean.view(per_channel)).div_(self.std.view(per_channel)))

    def _scaled(self, images: torch.Tensor, channel_axis: int) -> torch.Tensor:
        """Pixel values in [0, 1]."""
        channels = images.shape[channel_axis] if images.dim() > channel_axis else None
        require(
            channels == len(self.mean),
            f"images must have {len(self.mean)} channel(s) in axis {channel_axis}, got {tuple(images.shape)}",
        )
        if images.dtype == torch.uint8:
            return images.to(self.mean.dtype).div_(255)
        require(
            images.is_floating_point(),
            f"images must be of uint8 or of floats in [0, 1], got {images.dtype}",
        )
        return images.to(self.mean.dtype)  # the network's


def load(
    run: str | os.PathLike[str] | Result,
    *,
    runs_dir: str | os.PathLike[str] = "runs",
    device: torch.device | str = "cpu",
    eval_stats: str = "worker0",
) -> Predictor:
    """The network of a finished run, in evaluation mode.

    Args:
        run: its id, the start of its id, its directory, or its result.
        runs_dir: where runs are looked for by id.
        device: where the network goes.
        eval_stats: the running statistics that batch norm evaluates with: worker0 or mean (over workers).

    Raises:
        ValueError: no such run, one that has not finished or has diverged, other statistics, or no such device.
    """
    require(
        eval_stats in _STATS,
        f"eval_stats must be {' or '.join(_STATS)}, got {eval_stats}; gnexp export writes precise ones into a file",
    )
    is_place = isinstance(run, str | os.PathLike)
    require(
        isinstance(run, Result) or (is_place and str(run) != ""),
        f"run must be a run's id, the start of it, its directory or its result, got {run!r}",
    )
    require(isinstance(runs_dir, str | os.PathLike), f"runs_dir must be a folder's path, got {runs_dir!r}")
    place = _device(device)
    name = run.run_id if isinstance(run, Result) else os.fspath(run)
    directory = named_run_dir(name, Path(runs_dir))
    spec = load_spec(directory.spec)
    weights = final_weights(spec, torch.device("cpu"))
    network = _build(spec.run)
    network.load_state_dict(weights)
    names = read_classes(directory).get("class_names")
    predictor = _predictor(network, spec.run, eval_stats, None if names is None else tuple(names))
    return predictor.to(place)


def _device(given: torch.device | str) -> torch.device:
    """Raises ValueError, before anything is read, where torch knows no such device or the machine has none."""
    try:
        device = torch.device(given)
    except (RuntimeError, TypeError):
        raise ValueError(f"device must be one of torch's, such as cpu or cuda, got {given!r}") from None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:  # what a backend that is not there ends with
        why = str(error).splitlines()[0].partition(". ")[0] if str(error) else type(error).__name__
        raise ValueError(f"device must be one that this machine has, got {given!r}: {why}") from None
    return device


def load_file(run: RunConfig) -> tuple[Predictor, list[str]]:
    """The network with the weights that a run would start from, in evaluation mode.

    Returns:
        It, and what a person should know of the weights.

    Raises:
        ValueError: the file cannot be read, or does not hold all of the network.
    """
    network = _build(run)
    whole = dataclasses.replace(run, processes=1)
    notes = load_initial_weights(network, whole, torch.device("cpu"), whole=True)
    return _predictor(network, run, "worker0", None), notes


def _build(run: RunConfig) -> nn.Module:
    """The network of all workers, in one process."""
    whole = dataclasses.replace(run, processes=1)
    # Layers draw initial weights from torch's own generator, which is the caller's.
    with torch.random.fork_rng(devices=[]):
        return build_task(run.task).build_model(whole, torch.Generator().manual_seed(0))


def _predictor(
    network: nn.Module, run: RunConfig, eval_stats: str, class_names: tuple[str, ...] | None
) -> Predictor:
    network = with_eval_stats(network, eval_stats)
    itself = build_task(run.task).normalizes_itself
    return Predictor(network, run, normalizes_itself=itself, class_names=class_names).eval()
