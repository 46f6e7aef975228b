"""Sampling of anchors and regions of interest (RoIs) that is keyed by (seed, epoch, sample index)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from gnexp.nn.step import Step
from gnexp.ops import keyed


class KeyedSampler(nn.Module):
    """Chooses candidates of each image for the loss: a share of positives at most, the rest negatives.

    What torchvision's BalancedPositiveNegativeSampler does by the global random state. Here each candidate draws a
    number that belongs to its image, epoch and index among the image's candidates, and the smallest are taken: neither
    the order of a batch nor the number of processes changes what is chosen.

    Args:
        num: candidates per image.
        positive_share: of num, at most.
        stream: what keeps its draws apart from those of the model's other samplers.
    """

    def __init__(self, num: int, positive_share: float, *, stream: str) -> None:
        super().__init__()
        self.num = num
        self.positive_share = positive_share
        self.stream = stream
        self._step: Step | None = None

    def begin_step(self, step: Step) -> None:
        """Takes the step whose images the next forward pass gets, in its order."""
        self._step = step

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, labels: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Labels of each image's candidates, (n,) each -> masks of the chosen positives and negatives, (n,) each.

        Labels of 1 and above are positive, 0 negative, below 0 neither.
        """
        step = self._step
        assert step is not None, f"sampler {self.stream}: begin_step must come before a training forward pass"
        assert len(step.indices) == len(labels), (
            f"sampler {self.stream}: begin_step was told of {len(step.indices)} images, got a batch of {len(labels)}"
        )
        chosen: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        for index, of_image in zip(step.indices, labels, strict=True):
            found = of_image.cpu().numpy()
            draws = keyed.bits(step.seed, f"sample/{self.stream}", step.epoch, index[None], len(found))[0]
            positives, negatives = np.flatnonzero(found >= 1), np.flatnonzero(found == 0)
            positives = _smallest(positives, draws, int(self.num * self.positive_share))
            negatives = _smallest(negatives, draws, self.num - len(positives))
            for masks, candidates in zip(chosen, (positives, negatives), strict=True):
                mask = np.zeros(len(found), dtype=bool)
                mask[candidates] = True
                masks.append(torch.from_numpy(mask).to(of_image.device))
        return chosen

    def extra_repr(self) -> str:
        return f"num={self.num}, positive_share={self.positive_share}, stream={self.stream}"


def _smallest(
    candidates: npt.NDArray[np.intp], draws: npt.NDArray[np.uint64], num: int
) -> npt.NDArray[np.intp]:
    """The num candidates whose draws are smallest; all of them where there are no more."""
    if len(candidates) <= num:
        return candidates
    return candidates[np.argpartition(draws[candidates], num)[:num]]
