"""The region proposal network (RPN) of a detector, with each worker's own loss, and how images split over workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torchvision.models.detection.rpn import RegionProposalNetwork

from gnexp.nn.step import Step

_BOX_BETA = 1 / 9  # where the loss of a box turns linear: torchvision's and Detectron's


class WorkersRPN(RegionProposalNetwork):  # type: ignore[misc]
    """torchvision's. In training its losses are means over the workers of the pass, each over a worker's own anchors.

    So a pass of several workers has the mean of the losses that passes of one worker each have.
    """

    num_workers = 1  # of the pass

    def begin_step(self, step: Step) -> None:
        """Takes the number of workers whose images the next forward pass gets."""
        self.num_workers = step.num_workers

    def compute_loss(
        self,
        objectness: torch.Tensor,
        pred_bbox_deltas: torch.Tensor,
        labels: list[torch.Tensor],
        regression_targets: list[torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses of objectness and boxes, of anchors in the order of their images: (anchors, 1), (anchors, 4)."""
        positive, negative = self.fg_bg_sampler(labels)
        sizes = [len(of_image) for of_image in labels]
        parts = (
            *(torch.split(t, sizes) for t in (objectness.flatten(), pred_bbox_deltas)),
            labels,
            regression_targets,
        )
        losses = [_loss(*of_worker) for of_worker in by_worker(self.num_workers, *parts, positive, negative)]
        of_objects, of_boxes = mean_over_workers(losses)
        return of_objects, of_boxes


def _loss(
    objectness: torch.Tensor,
    deltas: torch.Tensor,
    labels: torch.Tensor,
    targets: torch.Tensor,
    is_positive: torch.Tensor,
    is_negative: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses of some images' anchors, as torchvision has them."""
    positive, negative = torch.where(is_positive)[0], torch.where(is_negative)[0]
    chosen = torch.cat([positive, negative])
    of_boxes = F.smooth_l1_loss(deltas[positive], targets[positive], beta=_BOX_BETA, reduction="sum")
    wanted = labels[chosen].to(objectness.dtype)  # else the loss of float64 logits would be float32
    of_objects = F.binary_cross_entropy_with_logits(objectness[chosen], wanted)
    return of_objects, of_boxes / chosen.numel()


def by_worker(num_workers: int, *by_image: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """For each worker of a pass its own images' rows of each tensor; image p is of worker p mod num_workers."""
    for worker in range(num_workers):
        yield [torch.cat(list(of_images[worker::num_workers])) for of_images in by_image]


def mean_over_workers(losses: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
    """The mean of each loss, from every worker's."""
    return [torch.stack(list(of_kind)).mean() for of_kind in zip(*losses, strict=True)]
