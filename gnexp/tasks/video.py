"""Action recognition: cross-entropy of clips, and the accuracy on videos, whose clips' probabilities are averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from gnexp.config import RunConfig
from gnexp.data.dataset import Batch, Dataset
from gnexp.data.kinds.kinetics import ClipsConfig
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
    normalizes_itself = False
    train_score: str | None = "clip_error"

    def build_model(self, run: RunConfig, generator: torch.Generator) -> nn.Module:
        """The initialised network for the run's clips and classes."""
        if not run.model.has_frames:
            raise ValueError(
                f"model={run.model.name} is a network of images: task.kind={run.task.kind} needs one of videos"
            )
        return build_classifier(run, generator)

    def trace(self, model: nn.Module, run: RunConfig, num_images: int) -> None:
        """Has (num_images, channels, clip_length, image_size, image_size) go through the model."""
        data = clips_of(run)
        shape = (num_images, data.channels, data.clip_length, data.image_size, data.image_size)
        model(torch.zeros(shape, device="meta"))

    def views(self, run: RunConfig, dataset: Dataset, *, epoch: int, is_thorough: bool) -> Sequence[Dataset]:
        """One clip of each video; where it is reported, the test's clips too."""
        assert isinstance(dataset, Clips), "trace has refused data without clips"
        monitored = dataset.monitored(run.seed, epoch)
        return [monitored, dataset] if is_thorough else [monitored]

    def eval_size(self, run: RunConfig) -> int:
        """One video at the paper's size: whole frames of ten clips."""
        data = clips_of(run)
        values = data.num_clips * data.clip_length * data.channels * data.eval_resize**2
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


def clips_of(run: RunConfig) -> ClipsConfig:
    """The run's data, which is one of videos.

    Raises:
        ValueError: it is another.
    """
    if not isinstance(run.data, ClipsConfig):
        raise ValueError(f"data={run.data.name} has no clips: task.kind={run.task.kind} needs videos")
    return run.data
