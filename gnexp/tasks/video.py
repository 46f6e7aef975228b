"""Action recognition: cross-entropy of clips, and the accuracy on videos, whose clips' probabilities are averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from gnexp.config import RunConfig
from gnexp.config.video import VIDEO
from gnexp.data.dataset import Batch, Dataset
from gnexp.data.video.clips import Clips
from gnexp.models.i3d import I3D
from gnexp.tasks.classification import build_classifier, num_wrong

# Videos at once, whose clips go through the model some at a time; of large ones as many as these values hold: 256 MB.
_EVAL_SIZE, _EVAL_VALUES, _EVAL_CLIPS = 8, 2**26, 10
_TOP = 5


class Video:
    """The task of Table 8 and Figure 7.

    Monitored is the error on one clip of each video of val under training's augmentation; the test averages the
    probabilities of a video's clips over clips and, fully convolutional, over places (Section 4.3).
    """

    scores: tuple[str, ...] = ("top1_accuracy", "clip_error", f"top{_TOP}_accuracy")
    train_score: str | None = "clip_error"

    def build_model(self, run: RunConfig, generator: torch.Generator) -> nn.Module:
        """The initialised network for the run's clips and classes."""
        if run.model.kind != VIDEO:
            raise ValueError(
                f"model={run.model.name} is a network of images: task.kind=video needs one of kind {VIDEO}"
            )
        return build_classifier(run, generator)

    def trace(self, model: nn.Module, run: RunConfig, num_images: int) -> None:
        """Has (num_images, channels, clip_length, image_size, image_size) go through the model."""
        data = run.data
        if data.clip_length is None:
            raise ValueError(f"data={data.name} has no clips: task.kind=video needs videos")
        shape = (num_images, data.channels, data.clip_length, data.image_size, data.image_size)
        model(torch.zeros(shape, device="meta"))

    def views(self, run: RunConfig, dataset: Dataset, *, epoch: int, is_reported: bool) -> Sequence[Dataset]:
        """One clip of each video; where it is reported, the test's clips too."""
        assert isinstance(dataset, Clips), "trace has refused data without clips"
        monitored = dataset.monitored(run.seed, epoch)
        return [monitored, dataset] if is_reported else [monitored]

    def eval_size(self, run: RunConfig) -> int:
        """One video at the paper's size: whole frames of ten clips."""
        data = run.data
        values = (
            (data.num_clips or 1) * (data.clip_length or 1) * data.channels * (data.eval_resize or 1) ** 2
        )
        return max(1, min(_EVAL_SIZE, _EVAL_VALUES // values))

    def step(self, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy, and how many clips are wrong."""
        logits = model(batch.images)
        return F.cross_entropy(logits, batch.labels), num_wrong(logits, batch.labels)

    @torch.no_grad()
    def measure(self, model: nn.Module, batches: Iterator[Batch], dataset: Dataset) -> tuple[int, ...]:
        """How many videos there are and how many are wrong; in the test, how many are right at first and in five."""
        assert isinstance(dataset, Clips), "a view of views"
        count, wrong, first, among = 0, 0, 0, 0
        for batch in batches:
            count += len(batch.labels)
            if dataset.is_monitored:
                wrong += int(num_wrong(model(batch.images), batch.labels)) if len(batch.labels) else 0
                continue
            assert isinstance(model, I3D), "built by build_model"
            for clips, label in zip(batch.images, batch.labels, strict=True):
                found = [model.predict(part, dataset.crop) for part in clips.split(_EVAL_CLIPS)]
                mean = torch.cat(found).mean(0)
                ranked = mean.topk(min(_TOP, len(mean))).indices
                first += int(ranked[0] == label)
                among += int((ranked == label).any())
        return (count, wrong) if dataset.is_monitored else (count, first, among)

    def results(self, partials: Sequence[Any]) -> Any:
        """None: an accuracy is all there is."""
        return None

    def draw(self, model: nn.Module, batch: Batch, dataset: Dataset) -> Iterator[tuple[str, bytes]]:
        """Raises ValueError: there is nothing in the clips to draw."""
        raise ValueError("save_images is for detection, this run classifies videos; leave it out")

    def aggregate(self, partials: Sequence[tuple[int, ...]], dataset: Dataset) -> dict[str, float]:
        """The test's accuracies, or the error on one clip, in percent of the videos that could be read.

        Raises:
            ValueError: there is none.
        """
        assert isinstance(dataset, Clips), "a view of views"
        count, *found = (sum(numbers) for numbers in zip(*partials, strict=True))
        if count == 0:
            raise ValueError(
                "no video of val can be read, so there is no score; gnexp data check names the reasons"
            )
        top1, clip, top5 = self.scores
        names = (clip,) if dataset.is_monitored else (top1, top5)
        return {name: 100 * number / count for name, number in zip(names, found, strict=True)}
