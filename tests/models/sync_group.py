"""What each process of a group runs for test_sync_detectors.py: detectors with synchronized batch norm everywhere."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch

from gnexp.config import RunConfig
from gnexp.engine.processes import Processes, joined
from gnexp.nn.statistics import with_precise_stats
from gnexp.nn.sync_batch_norm import sync_norms
from tests.models.detection_cases import Scene, detector, empty_target, losses, scene

CPU = torch.device("cpu")
WORKERS, STEPS = 4, 2
CASES = {
    "thin_mask_rcnn": ("fpn_norm=sync_bn", "box_norm=sync_bn", "mask_norm=sync_bn"),
    "thin_mask_rcnn_c4": (),
}
SIZES = (96, 64, 128, 80)  # of the images of a step: they are padded to the largest, whoever holds it


def scenes_of(step: int) -> list[Scene]:
    """An image of each worker; in the second step two workers, which two processes of two share, have no object."""
    found = [scene(10 * step + place, size=size) for place, size in enumerate(SIZES)]
    if step == 1:
        found[2:] = [
            (image, empty_target(size)) for (image, _), size in zip(found[2:], SIZES[2:], strict=True)
        ]
    return [(image.double(), target) for image, target in found]


def without_ties(
    head: torch.nn.Module, given: Any, found: tuple[list[torch.Tensor], list[torch.Tensor]]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """A hook of the RPN's head: each place's score moves by an amount of its own.

    Places that see padding alone have one score. Which of them are proposed, and in which order, would be up to the
    last bit of a sum, and that is another on each processor and for each number of images.
    """
    scores, boxes = found
    steps = [1e-4 / score[0].numel() * torch.arange(score[0].numel()).view_as(score[0]) for score in scores]
    return [score + step for score, step in zip(scores, steps, strict=True)], boxes


def trained(name: str, processes: Processes) -> dict[str, Any]:
    """Weights and running statistics after some steps, losses, and precise statistics."""
    num = WORKERS // processes.world_size
    own = list(range(num * processes.rank, num * (processes.rank + 1)))
    model = detector(name, "sync_bn", *CASES[name], workers=num).double()
    model.rpn.head.register_forward_hook(without_ties)
    for norm in sync_norms(model):
        norm.peers = processes.peers
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    means = []
    for step in range(STEPS):
        model.zero_grad()
        total = torch.stack(list(losses(model, scenes_of(step), own, workers=num).values())).sum()
        total.backward()
        for parameter in model.parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None
                processes.add_up(parameter.grad.div_(processes.world_size))
        optimizer.step()
        means.append(processes.sum([float(total.detach()) / processes.world_size]))
    model.roi_heads.score_thresh = 0.11  # so that some images have detections and others none
    batches = [[image for image, _ in scenes_of(step)][own[0] : own[-1] + 1] for step in range(STEPS)]
    given: Any = ((images, slice(0, num)) for images in batches)
    precise = with_precise_stats(model, given, processes.add_up)
    return {"model": model.state_dict(), "losses": means, "precise": precise.state_dict()}


def main(out: Path) -> None:
    torch.set_num_threads(1)
    run = dataclasses.replace(RunConfig(), processes=int(os.environ["WORLD_SIZE"]))
    with joined(run, CPU) as processes:
        found = {name: trained(name, processes) for name in CASES}
        if processes.is_first:
            torch.save(found, out)
