"""Videos: loss and scores, the test's averages, and a run of the smoke scale, resumed and over processes."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from gnexp.config import RunConfig
from gnexp.data.dataset import Batch
from gnexp.data.video.clips import Clips
from gnexp.engine.evaluate import evaluate
from gnexp.engine.state import State, build, check_shapes
from gnexp.engine.train import EpochRecord, train
from gnexp.tasks.build import build_task
from gnexp.tasks.video import Video
from tests.composing import COMPOSER

CPU = torch.device("cpu")


def run_of(root: Path, *overrides: str) -> RunConfig:
    words = ["experiment=kinetics", "scale=smoke", "batch=4", f"data.root={root}", "data.loader_workers=0"]
    return COMPOSER.run(COMPOSER.flatten([*words, *overrides]))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def state(root: Path) -> State:
    state = build(run_of(root, "norm=bn"), CPU)
    torch.nn.init.normal_(state.model.get_submodule("fc").weight, generator=torch.Generator().manual_seed(0))
    return state


def test_step_is_the_loss_of_clips(state: State) -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]])
    loss, wrong = Video().step(torch.nn.Identity(), Batch(logits, torch.tensor([0, 2]), np.arange(2)))
    exps = [[math.exp(v) for v in row] for row in logits.tolist()]
    assert float(loss) == pytest.approx(
        -sum(math.log(r[y] / sum(r)) for r, y in zip(exps, (0, 2), strict=True)) / 2
    )
    assert int(wrong) == 1


def test_the_test_averages_the_probabilities_of_a_videos_clips(state: State) -> None:
    """By hand, video for video."""
    dataset, model = state.dataset, state.model.eval()
    assert isinstance(dataset, Clips)
    task, order = Video(), np.arange(dataset.num_val)
    steps = [order[:5], order[5:]]
    first, among = 0, 0
    with torch.no_grad():
        for batch in dataset.val_batches(steps):
            for clips, label in zip(batch.images, batch.labels.tolist(), strict=True):
                assert clips.shape == (10, 1, 16, 32, 32)
                ranked = model.predict(clips, 32).mean(0).argsort(descending=True).tolist()
                first += ranked[0] == label
                among += label in ranked[:5]
    found = task.aggregate([task.measure(model, dataset.val_batches(steps), dataset)], dataset)
    assert found == {"top1_accuracy": 100 * first / 16, "top5_accuracy": 100 * among / 16}
    parts = [task.measure(model, dataset.val_batches([step]), dataset) for step in steps]
    assert task.aggregate(parts, dataset) == found, "the processes' parts add up"


def test_it_is_the_mean_of_probabilities_and_neither_their_largest_nor_the_logits(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three clips, of which the largest probability would say 0, the mean of the logits 2, and the mean says 1."""
    clips = torch.tensor([[0.90, 0.04, 0.06, 0.00], [0.00, 0.50, 0.45, 0.05], [0.00, 0.50, 0.45, 0.05]])
    assert int(clips.amax(0).argmax()) == 0 and int(clips.log().mean(0).argmax()) == 2
    monkeypatch.setattr(state.model, "predict", lambda images, crop: clips)
    batch = Batch([torch.empty(3)] * 3, torch.tensor([0, 1, 2]), np.arange(3))
    assert Video().measure(state.model, iter([batch]), state.dataset) == (3, 1, 3)
    batch = Batch([torch.empty(3)], torch.tensor([1]), np.arange(1))
    assert Video().measure(state.model, iter([batch]), state.dataset) == (1, 1, 1)


class Sure(torch.nn.Module):
    """Of class 0, whatever it is shown."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.eye(8)[:1].expand(len(x), -1)


def test_monitored_is_one_clip_of_each_video(state: State) -> None:
    task = Video()
    (view,) = task.views(state.run, state.dataset, epoch=1, is_thorough=False)
    assert isinstance(view, Clips) and view.is_monitored and view.num_val == 16
    (batch,) = view.val_batches([np.arange(16)])
    assert batch.images.shape == (16, 1, 16, 32, 32)
    wrong = int((batch.labels != 0).sum())
    found = task.aggregate([task.measure(Sure(), view.val_batches([np.arange(16)]), view)], view)
    assert found == {"clip_error": 100 * wrong / 16}
    (other,) = task.views(state.run, state.dataset, epoch=2, is_thorough=False)
    (later,) = other.val_batches([np.arange(16)])
    assert not torch.equal(later.images, batch.images), "another epoch draws other clips"


def test_the_test_belongs_to_a_thorough_evaluation(state: State) -> None:
    assert set(evaluate(state, ["worker0"], epoch=1, is_thorough=False)["worker0"]) == {"clip_error"}
    assert set(evaluate(state, ["worker0"], epoch=1)["worker0"]) == set(Video().scores)


@pytest.mark.slow
def test_a_curve_of_accuracies_has_as_many_points_as_the_recipe_says(root: Path) -> None:
    """One clip after each epoch, the test at the points; what training computes stays the same to the bit."""

    def metrics(*words: str) -> list[dict[str, float | int]]:
        run = run_of(root, "norm=gn", "recipe.epochs=4", *words)
        return [r.metrics for r in train(build(run, CPU)) if isinstance(r, EpochRecord)]

    plain, points = metrics(), metrics("recipe.eval_points=3")
    assert ["val/clip_error" in of_epoch for of_epoch in points] == [True] * 4
    assert ["val/top1_accuracy" in of_epoch for of_epoch in points] == [True, False, True, True]
    assert ["val/top1_accuracy" in of_epoch for of_epoch in plain] == [False, False, False, True]
    for of_epoch, other in zip(points, plain, strict=True):
        assert other.items() <= of_epoch.items()


def test_no_video_no_score(state: State) -> None:
    empty = Batch([], torch.empty(0, dtype=torch.int64), np.empty(0, np.int64))
    partial = Video().measure(state.model, iter([empty]), state.dataset)
    with pytest.raises(ValueError, match="no video of val can be read"):
        Video().aggregate([partial], state.dataset)


def test_what_does_not_go_together(root: Path) -> None:
    run = run_of(root)
    images = COMPOSER.run(["scale=smoke"])
    for wrong, message in (
        (
            dataclasses.replace(run, model=images.model),
            "model=thin_resnet is a network of images: task.kind=video",
        ),
        (
            dataclasses.replace(run, data=images.data),
            "data=fashion_scenes has no clips: task.kind=video needs",
        ),
        (
            dataclasses.replace(images, model=run.model),
            "model=thin_i3d is a network of videos: it needs task.kind",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            check_shapes(wrong, build_task(wrong.task))


@pytest.mark.parametrize("scale", ["paper", "small", "smoke"])
def test_the_command_that_recipes_name_trains_on_as_many_clips_as_the_paper(scale: str) -> None:
    """Without a batch: 8 clips, not the 32 images of Table 2, which are more than the smoke scale has videos."""
    run = COMPOSER.run(COMPOSER.flatten(["experiment=kinetics", f"scale={scale}"]))
    assert run.batch == 8
    assert run.total_batch <= (run.data.num_train or run.data.expected_train or 0)


def records_of(state: State) -> list[dict[str, float | int]]:
    return [record.metrics for record in train(state) if isinstance(record, EpochRecord)]


@pytest.mark.parametrize("norm", ["bn", pytest.param("gn", marks=pytest.mark.slow)])
def test_a_run_resumes_to_the_bit(root: Path, norm: str) -> None:
    """Stopped within an epoch: dropout, clips and order are drawn by key."""
    run = run_of(root, f"norm={norm}")
    whole = build(run, CPU)
    expected = records_of(whole)
    assert {"val/clip_error", "train/clip_error"} <= set(expected[0]) and "val/top1_accuracy" not in expected[
        0
    ]
    assert {"val/top1_accuracy", "val/top5_accuracy_precise", "val/clip_error_mean"} <= set(expected[-1])
    stopped = build(run, CPU)
    steps = train(stopped)
    next(steps)
    saved = stopped.state_dict()
    steps.close()
    resumed = build(run, CPU)
    resumed.load_state_dict(saved)
    assert (resumed.epoch, resumed.step) == (0, 1)
    assert records_of(resumed) == expected
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


@pytest.mark.slow
def test_workers_one_after_another_train_the_same(root: Path) -> None:
    whole, parts = (
        build(run_of(root, "norm=bn", "recipe.base_lr=0.001", *more), CPU)
        for more in ((), ("workers_per_pass=1",))
    )
    records_of(whole), records_of(parts)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_large_videos_are_tested_one_at_a_time(root: Path) -> None:
    run = run_of(root)
    paper = COMPOSER.run(
        ["scale=paper", "data=kinetics", "model=i3d_resnet50", "recipe=kinetics", "task.kind=video"]
    )
    assert (Video().eval_size(run), Video().eval_size(paper)) == (8, 1)
