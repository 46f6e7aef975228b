"""Detection and segmentation: Mask R-CNN's losses, and COCO's average precision of boxes and masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from gnexp.config import RunConfig
from gnexp.data.coco.dataset import Coco
from gnexp.data.dataset import Batch, Dataset
from gnexp.data.kinds.coco import BoxesConfig
from gnexp.models.build import build_detector
from gnexp.models.detector import DetectorInputs
from gnexp.nn.norms import conv_factory, norm_factory
from gnexp.tasks.coco_eval import METRICS, Result, evaluate_results, to_results
from gnexp.tasks.pictures import draw_detections
from gnexp.tasks.task import NotFiniteError

_EVAL_SIZE = 4  # images at once, where all are padded to one size


class Detection:
    """The task of Tables 4 to 7. The losses are added up with weight 1, as Detectron does."""

    scores: tuple[str, ...] = tuple(f"{kind}_{name}" for name in METRICS for kind in ("box", "mask"))
    normalizes_itself = True
    train_score: str | None = None

    def build_model(self, run: RunConfig, generator: torch.Generator) -> nn.Module:
        """The initialised detector for the run's images and classes."""
        data = boxes_of(run)
        inputs = DetectorInputs(
            workers=run.virtual_workers,
            mean=data.mean,
            std=data.std,
            min_size=data.min_size if data.is_resized else None,
            max_size=data.max_size,
            num_classes=data.num_classes,
            has_masks=not data.is_without_masks,
        )
        norm, conv = norm_factory(run.norm, run.virtual_workers), conv_factory(run.norm)
        return build_detector(run.model, norm, inputs, generator, conv)

    def trace(self, model: nn.Module, run: RunConfig, num_images: int) -> None:
        """Has (num_images, channels, image_size, image_size) go through backbone, neck and heads."""
        size = run.data.image_size
        model(torch.zeros(num_images, run.data.channels, size, size, device="meta"))

    def views(self, run: RunConfig, dataset: Dataset, *, epoch: int, is_thorough: bool) -> Sequence[Dataset]:
        """The data set: its images are scored in one way alone."""
        return [dataset]

    def eval_size(self, run: RunConfig) -> int:
        """One where images differ in size, as Detectron tests: batch-mates would pad it, and others by processes."""
        return 1 if boxes_of(run).is_resized else min(run.batch, _EVAL_SIZE)

    def step(self, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of RPN's, the boxes' and, if any, the masks' losses, and 0: nothing is scored in training."""
        losses: dict[str, torch.Tensor] = model(batch.images, batch.labels)
        total = torch.stack(list(losses.values())).sum()
        return total, torch.zeros((), device=total.device)

    @torch.no_grad()
    def measure(self, model: nn.Module, batches: Iterator[Batch], dataset: Dataset) -> list[Result] | str:
        """What is detected, as COCO writes results; in words why there are none where it is not finite."""
        assert isinstance(dataset, Coco), "checked by build_model's task"
        found: list[Result] = []
        for batch in batches:
            ids = [label["image_id"] for label in batch.labels]
            try:
                found += to_results(ids, model(batch.images), dataset.category_ids)
            except NotFiniteError as error:
                return str(error)  # aggregate raises it, in every process
        return found

    def results(self, partials: Sequence[list[Result] | str]) -> list[Result]:
        """COCO's results file."""
        return in_order(partials)

    @torch.no_grad()
    def draw(self, model: nn.Module, batch: Batch, dataset: Dataset) -> Iterator[tuple[str, bytes]]:
        """Each image with what is there and what is found, side by side."""
        assert isinstance(dataset, Coco), "as in measure"
        for index, image, label, found in zip(
            batch.indices, batch.images, batch.labels, model(batch.images), strict=True
        ):
            truth = {**label, "masks": dataset.val_masks(int(index))} if dataset.has_masks else label
            yield f"{label['image_id']:012d}.png", draw_detections(image, truth, found, dataset.class_names)

    def aggregate(self, partials: Sequence[list[Result] | str], dataset: Dataset) -> dict[str, float]:
        """COCO's averages of boxes and masks, in percent; those of sizes that no object has are left out."""
        assert isinstance(dataset, Coco), "as in measure"
        kinds = ("bbox", "segm") if dataset.has_masks else ("bbox",)
        scores = evaluate_results(dataset.ground_truth(), in_order(partials), kinds)
        return {name: score for name, score in scores.items() if score is not None and not math.isnan(score)}


def boxes_of(run: RunConfig) -> BoxesConfig:
    """The run's data, which is one of boxes.

    Raises:
        ValueError: it is another.
    """
    if not isinstance(run.data, BoxesConfig):
        raise ValueError(
            f"data={run.data.name} has no boxes: task.kind={run.task.kind} needs images with boxes"
        )
    return run.data


def in_order(partials: Sequence[list[Result] | str]) -> list[Result]:
    """Every process's detections, by image and from the surest: the same for any number of processes.

    Raises:
        NotFiniteError: some process's are not finite.
    """
    results: list[Result] = []
    for partial in partials:
        if isinstance(partial, str):
            raise NotFiniteError(partial)
        results += partial
    return sorted(results, key=lambda result: (result["image_id"], -result["score"]))
