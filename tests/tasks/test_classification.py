"""Cross-entropy and top-1 error."""

import math

import numpy as np
import pytest
import torch

from gnexp.config import RunConfig, TaskConfig
from gnexp.data.dataset import Batch
from gnexp.tasks import build_task
from gnexp.tasks.classification import Classification


class Fixed(torch.nn.Module):
    """Gives its input back as logits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 5.0]])
LABELS = torch.tensor([0, 2, 0, 2])


def test_step() -> None:
    loss, wrong = Classification().step(Fixed(), Batch(LOGITS, LABELS, np.arange(len(LABELS))))
    exps = [[math.exp(v) for v in row] for row in LOGITS.tolist()]
    expected = -sum(math.log(row[y] / sum(row)) for row, y in zip(exps, LABELS.tolist(), strict=True)) / 4
    assert float(loss) == pytest.approx(expected) and int(wrong) == 1


def test_evaluate_weighs_images_and_not_batches() -> None:
    batches = iter(
        [
            Batch(LOGITS[:3], LABELS[:3], np.arange(3)),
            Batch(LOGITS[3:], torch.tensor([0]), np.arange(3, len(LOGITS))),
        ]
    )
    task = Classification()
    assert task.combine([task.tally(Fixed(), batches)]) == 50.0


def test_example_images_have_the_shape_of_a_step() -> None:
    run = RunConfig(batch=4, workers=2)
    assert Classification().example_images(run).shape == (8, 1, 32, 32)


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="task.kind must be one of classification, got detection3d"):
        build_task(TaskConfig(kind="detection3d"))
