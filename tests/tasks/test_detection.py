"""Mask R-CNN in the engine: losses, scores, resuming, processes, and what it can learn."""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gnexp.config import RunConfig
from gnexp.data.coco.dataset import Coco
from gnexp.data.loader import num_steps, val_batches
from gnexp.engine.state import State, build
from gnexp.engine.train import DivergedError, EpochRecord, StepRecord, train
from gnexp.experiments.screen import Screen
from gnexp.nn.step import Step, step_listeners
from gnexp.runs.directory import RunDirectory
from gnexp.runs.spec import load_spec
from gnexp.tasks.detection import Detection, in_order
from gnexp.tasks.task import NotFiniteError
from tests.composing import COMPOSER
from tests.grids import thin

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


def smoke(root: Path, *overrides: str) -> RunConfig:
    words = ["experiment=coco_fpn", "scale=smoke", "data.num_train=16", "data.num_val=6", f"data.root={root}"]
    return COMPOSER.run(COMPOSER.flatten([*words, *overrides]))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the images are generated once."""
    return tmp_path_factory.mktemp("fashion_coco")


@pytest.fixture(scope="module")
def trained(root: Path) -> tuple[State, list[dict[str, float | int]]]:
    state = build(smoke(root), CPU)
    return state, [record.metrics for record in train(state) if isinstance(record, EpochRecord)]


def test_records_have_a_loss_and_cocos_scores(trained: tuple[State, list[dict[str, float | int]]]) -> None:
    _, records = trained
    assert [record["epoch"] for record in records] == [1, 2]
    assert {"train/loss", "val/box_ap", "val/mask_ap50", "val/box_ap_small"} <= records[0].keys()
    assert "train/box_ap" not in records[0]
    assert "val/box_ap_large" not in records[0]  # garments are small: there is nothing to find
    assert all(0 <= value <= 100 for key, value in records[0].items() if key.startswith("val/"))


def test_ground_truth_detected_scores_100(trained: tuple[State, list[dict[str, float | int]]]) -> None:
    state, _ = trained

    class Oracle(torch.nn.Module):
        """Detects what the labels of the batch at hand say."""

        def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
            return [
                {
                    "boxes": label["boxes"],
                    "labels": label["labels"],
                    "scores": torch.ones(len(label["labels"])),
                    "masks": list(map(torch.from_numpy, state.dataset.val_masks(index))),
                }
                for index, label in self.labels
            ]

    oracle = Oracle()

    def told(batches):  # type: ignore[no-untyped-def]
        for batch in batches:
            oracle.labels = list(zip(batch.indices.tolist(), batch.labels, strict=True))
            yield batch

    task = Detection()
    partial = task.measure(oracle, told(val_batches(state.dataset, size=2)), state.dataset)
    first = partial[0]["image_id"]
    parts = [[r for r in partial if r["image_id"] != first], [r for r in partial if r["image_id"] == first]]
    scores = task.aggregate(parts, state.dataset)
    assert scores["box_ap"] == scores["mask_ap"] == pytest.approx(100.0)
    assert in_order(parts) == in_order([partial])


def test_the_loss_is_the_sum_of_the_detectors(root: Path) -> None:
    state = build(smoke(root), CPU)
    (batch,) = state.dataset.train_batches(0, 0, [np.arange(2)])
    state.model.train()
    for listener in step_listeners(state.model):
        listener.begin_step(Step(0, 0, 0.0, batch.indices))
    with torch.no_grad():
        total, score = state.task.step(state.model, batch)
        losses = state.model(batch.images, batch.labels)
    assert len(losses) == 5 and float(total) == pytest.approx(sum(float(loss) for loss in losses.values()))
    assert float(score) == 0


def test_the_steps_of_a_pass_are_counted_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At COCO's size the images' arrangement takes longer than a step."""
    state = build(smoke(root, "recipe.epoch_steps=5", "data.num_train=8"), CPU)
    assert state.pass_steps == num_steps(state.dataset, state.run.total_batch) < 5
    monkeypatch.setattr(Coco, "arrange", None)
    state.epoch, state.step = 1, 3
    assert (state.num_steps, state.data_pass) == (5, 8 // state.pass_steps)


class Diverged(torch.nn.Module):
    """Finds one box in every image, at no finite place."""

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        box = torch.tensor([[0.0, 0.0, float("nan"), 1.0]])
        return [
            {"boxes": box, "labels": torch.ones(1, dtype=torch.long), "scores": torch.ones(1)} for _ in images
        ]


def test_detections_that_are_not_finite_are_a_diverged_run(
    trained: tuple[State, list[dict[str, float | int]]],
) -> None:
    """Every process has what each has measured, so that all of them end alike."""
    state, _ = trained
    task = state.task
    partial = task.measure(Diverged(), val_batches(state.dataset, size=2), state.dataset)
    assert isinstance(partial, str) and "must be finite" in partial
    with pytest.raises(NotFiniteError, match="must be finite"):
        task.aggregate([[], partial], state.dataset)


def test_too_few_images_of_a_kind_are_counted_by_kind(root: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"batch \* workers = 40 images that are all wide or all tall, data=.* has \d+ wide and \d+ tall",
    ):
        build(smoke(root, "batch=20", "workers=2"), CPU)


def test_an_epoch_is_said_in_the_steps_that_it_has(root: Path, tmp_path: Path) -> None:
    run = smoke(root, "recipe.epoch_steps=5", "data.num_train=8")
    Screen(RunDirectory(tmp_path), is_shown=True).start(run, build(run, CPU))
    assert "epochs of 5 steps, taken from 8 images" in (tmp_path / "log.txt").read_text(encoding="utf-8")


def test_such_a_run_ends_as_diverged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Detection, "measure", lambda self, model, batches, dataset: list(batches) and "no box is finite"
    )
    state = build(smoke(root), CPU)
    with pytest.raises(DivergedError, match=r"no box is finite \(after epoch 1\)"):
        list(train(state))
    assert state.epoch == 0 and state.step == state.num_steps


def test_resume_equals_the_uninterrupted_run(root: Path) -> None:
    """Stopped within an epoch that is counted in steps, in the second pass over the images."""
    run = smoke(root, "recipe.epoch_steps=5", "recipe.warmup_steps=3", "data.num_train=8")
    whole = build(run, CPU)
    expected = [record.metrics for record in train(whole) if isinstance(record, EpochRecord)]
    stopped = build(run, CPU)
    for _ in itertools.islice((r for r in train(stopped) if isinstance(r, StepRecord)), 3):
        pass
    resumed = build(run, CPU)
    resumed.load_state_dict(stopped.state_dict())
    torch.manual_seed(123)
    assert [record.metrics for record in train(resumed) if isinstance(record, EpochRecord)] == expected
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


@pytest.mark.dist
@pytest.mark.slow
def test_two_processes_train_what_one_does(root: Path, tmp_path: Path) -> None:
    """The real command: weights and scores of 1 and 2 processes; see also tests/engine/test_frozen_processes.py."""
    found = []
    for processes in (1, 2):
        runs_dir = tmp_path / str(processes)
        words = [
            "experiment=coco_fpn",
            "scale=smoke",
            "data.num_train=16",
            "data.num_val=6",
            f"data.root={root}",
        ]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "gnexp",
                "train",
                *words,
                f"processes={processes}",
                f"runs_dir={runs_dir}",
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        (run_dir,) = runs_dir.iterdir()
        weights = torch.load(run_dir / "weights.pt", weights_only=True)["model"]
        found.append((weights, json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["metrics"]))
    (one, scores), (two, others) = found
    assert one.keys() == two.keys()
    start = build(load_spec(run_dir / "spec.json").run, CPU).model_state()
    before, first, second = (
        torch.cat([of[name].flatten().double() for name in one]) for of in (start, one, two)
    )
    assert (first - second).norm() < 0.01 * (first - before).norm()
    assert others["val/box_ap"] == pytest.approx(scores["val/box_ap"], abs=0.5)


@pytest.mark.slow
def test_a_few_images_are_learned(root: Path) -> None:
    """Overfit: group normalization throughout, from random weights, scored on the images that it trains on."""
    words = ["data.num_train=8", "model.freeze_at=0", "recipe=small_coco", "recipe.base_lr=0.08", "workers=2"]
    run = smoke(
        root, *words, "recipe.epochs=9", "recipe.epoch_steps=60", "recipe.eval_every=9", "data.flip=false"
    )
    state = build(run, CPU)
    dataset = state.dataset
    dataset._files["val"] = dataset._files["train"]
    dataset._images["val"] = dataset._images["train"]
    dataset.num_val = dataset.num_train
    records = [record.metrics for record in train(state) if isinstance(record, EpochRecord)]
    assert records[-1]["val/box_ap"] > 50


def test_evaluation_takes_images_of_different_size_one_by_one(root: Path) -> None:
    """Padded to its batch-mates an image would score otherwise with other processes, which pair it otherwise."""
    run = smoke(root)
    assert Detection().eval_size(run) == run.batch == 2  # all of one size, once padded
    data = dataclasses.replace(run.data, min_size=128, image_size=128, max_size=192)
    assert Detection().eval_size(dataclasses.replace(run, data=data)) == 1


@pytest.mark.parametrize("model", thin(["thin_mask_rcnn", "thin_mask_rcnn_c4"]))
def test_boxes_alone_train_a_detector_without_a_mask_head(root: Path, model: str) -> None:
    """Faster R-CNN: no weight, loss, score or picture of masks; another run, whatever the mask head's norm."""
    words = [f"model={model}", "data.masks=false"]
    if model.endswith("c4"):
        words += [f"model.{place}_norm=null" for place in ("fpn", "box", "mask")] + ["model.box_head=null"]
    run = smoke(root, *words)
    state = build(run, CPU)
    assert run.model.mask_norm is None and run.run_id != smoke(root, *words[:1], *words[2:]).run_id
    assert not any("mask" in name for name in state.model.state_dict())
    records = [record.metrics for record in train(state) if isinstance(record, EpochRecord)]
    assert "val/box_ap" in records[-1] and not any("mask" in key for key in records[-1])
    (batch,) = state.dataset.val_batches([np.arange(1)])
    ((name, png),) = state.task.draw(state.model.eval(), batch, state.dataset)
    assert name == "000000000001.png" and png.startswith(b"\x89PNG")


def test_a_mask_heads_norm_is_no_part_of_a_run_without_one(root: Path) -> None:
    runs = [smoke(root, "data.masks=false", f"model.mask_norm={norm}") for norm in ("gn", "none", "bn")]
    assert len({run.run_id for run in runs}) == 1
    assert smoke(root, "data.masks=true").run_id == smoke(root).run_id
