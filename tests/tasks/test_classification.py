"""Cross-entropy and top-1 error."""

import math

import numpy as np
import pytest
import torch

from gnexp.config import RunConfig, TaskConfig, data_config
from gnexp.data.dataset import Batch
from gnexp.tasks.build import build_task
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
    assert task.aggregate([task.measure(Fixed(), batches, None)], None) == {"top1_error": 50.0}


def test_shapes_alone_go_through_the_model() -> None:
    shapes = []
    model = torch.nn.Identity()
    model.register_forward_hook(lambda module, inputs, output: shapes.append((output.shape, output.is_meta)))
    Classification().trace(model, RunConfig(), 8)
    assert shapes == [((8, 1, 32, 32), True)]


def test_evaluation_takes_fewer_large_images_at_once() -> None:
    task, data = Classification(), data_config(image_size=224)
    assert task.eval_size(RunConfig()) == 200 and task.eval_size(RunConfig(data=data)) == 65


def test_unknown_kind() -> None:
    with pytest.raises(
        ValueError, match="task.kind must be classification, detection or video, got detection3d"
    ):
        build_task(TaskConfig(kind="detection3d"))
