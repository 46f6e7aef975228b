"""Image classification: cross-entropy, and top-1 error in percent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from gnexp.config import RunConfig
from gnexp.data.dataset import Batch, Dataset
from gnexp.models.build import build_model
from gnexp.nn.norms import conv_factory, fitting_norm_factory, norm_factory

# Images at once: the activations of more leave the cache, and those of large images the memory.
_EVAL_SIZE, _EVAL_PIXELS = 200, 200 * 128 * 128


class Classification:
    """The task of Tables 1 to 3."""

    scores: tuple[str, ...] = ("top1_error",)
    normalizes_itself = False
    train_score: str | None = "top1_error"

    def build_model(self, run: RunConfig, generator: torch.Generator) -> nn.Module:
        """The initialised classifier for the run's images and classes."""
        if run.model.has_frames:
            raise ValueError(
                f"model={run.model.name} is a network of videos: it needs task.kind={run.model.task}, and clips"
            )
        return build_classifier(run, generator)

    def trace(self, model: nn.Module, run: RunConfig, num_images: int) -> None:
        """Has (num_images, channels, image_size, image_size) go through the model."""
        size = run.data.image_size
        try:
            model(torch.zeros(num_images, run.data.channels, size, size, device="meta"))
        except (RuntimeError, AssertionError) as error:  # torch's own words for a map that has got too small
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"model={run.model.label} does not take images of {size} x {size} pixels ({reason}); take another "
                "data.image_size, other data or another model"
            ) from None

    def views(self, run: RunConfig, dataset: Dataset, *, epoch: int, is_thorough: bool) -> Sequence[Dataset]:
        """The data set: its images are scored in one way alone."""
        return [dataset]

    def eval_size(self, run: RunConfig) -> int:
        """As many as the cache holds activations of."""
        return max(1, min(_EVAL_SIZE, _EVAL_PIXELS // run.data.image_size**2))

    def step(self, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy, and how many images are wrong."""
        logits = model(batch.images)
        return F.cross_entropy(logits, batch.labels), num_wrong(logits, batch.labels)

    @torch.no_grad()
    def measure(self, model: nn.Module, batches: Iterator[Batch], dataset: Dataset) -> tuple[int, int]:
        """How many images of the batches are wrong, and how many there are."""
        wrong, count = 0, 0
        for batch in batches:
            wrong += int(num_wrong(model(batch.images), batch.labels))
            count += len(batch.labels)
        return wrong, count

    def results(self, partials: Sequence[Any]) -> Any:
        """None: an error is all there is."""
        return None

    def draw(self, model: nn.Module, batch: Batch, dataset: Dataset) -> Iterator[tuple[str, bytes]]:
        """Raises ValueError: there is nothing in the images to draw."""
        raise ValueError("save_images is for detection, this run classifies; leave it out")

    def aggregate(self, partials: Sequence[tuple[int, int]], dataset: Dataset) -> dict[str, float]:
        """Top-1 error over all images, in percent."""
        wrong = sum(wrong for wrong, _ in partials)
        return {"top1_error": 100 * wrong / sum(count for _, count in partials)}


def build_classifier(run: RunConfig, generator: torch.Generator) -> nn.Module:
    """The initialised network for the run's channels, classes and workers, of images or of videos."""
    factory = fitting_norm_factory if run.model.is_foreign else norm_factory
    return build_model(
        run.model,
        factory(run.norm, run.virtual_workers),
        channels=run.data.channels,
        num_classes=run.data.num_classes,
        generator=generator,
        conv=conv_factory(run.norm),
    )


def num_wrong(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """How many of (N, classes) logits have their largest value elsewhere than at the (N,) labels."""
    return (logits.detach().argmax(1) != labels).sum()
