"""gnexp.load: a finished run's network gives on raw images what its evaluation found on normalized ones."""

import json
from pathlib import Path

import pytest
import torch

import gnexp
from gnexp.config import to_dict
from gnexp.data.loader import val_batches
from gnexp.engine.checkpoint import save_tensors
from gnexp.engine.evaluate import eval_model
from gnexp.experiments.finished import finished_state
from gnexp.experiments.run import train_run
from gnexp.runs.directory import RunDirectory
from gnexp.runs.result import load_result
from gnexp.runs.spec import load_spec
from gnexp.tasks.build import build_task
from tests.composing import COMPOSER
from tests.experiments.runs import write_spec


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of batch norm, trained, and one that has not started."""
    place = tmp_path_factory.mktemp("runs")
    train_run(load_spec(write_spec(place)))
    write_spec(place, seed=7)
    return place


def done(runs: Path) -> Path:
    return next(path for path in runs.iterdir() if (path / "result.json").exists())


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Writes the directory of a run that ended with the weights that it started with."""

    def write(*words: str) -> Path:
        place = tmp_path_factory.mktemp("untrained")
        run = COMPOSER.run(COMPOSER.flatten([*words, "scale=smoke", f"data.root={place}"]))
        path = place / f"{run.run_id}-{run.label}"
        path.mkdir()
        named = {"run_id": run.run_id, "label": run.label}
        (path / "spec.json").write_text(
            json.dumps({"format": 1, **named, "config": to_dict(run)}), encoding="utf-8"
        )
        model = build_task(run.task).build_model(run, torch.Generator().manual_seed(1))
        save_tensors(path / "weights.pt", {"run_id": run.run_id, "model": model.state_dict()})
        return path

    return write


def test_raw_images_give_what_evaluation_found(runs: Path) -> None:
    spec = load_spec(done(runs) / "spec.json")
    state = finished_state(spec)
    data = spec.run.data
    for stats in ("worker0", "mean"):
        predictor = gnexp.load(done(runs), eval_stats=stats)
        evaluated = eval_model(state, stats, spec.run.recipe.epochs)
        assert not predictor.training and predictor.run == spec.run
        wrong = count = 0
        with torch.no_grad():
            for batch in val_batches(state.dataset, size=16):
                floats = batch.images * data.std[0] + data.mean[0]
                pixels = (floats * 255).round().to(torch.uint8)
                # In float32, whose rounding a network enlarges: by less than a pixel's 256th part does to its input.
                for raw in (pixels, floats):
                    torch.testing.assert_close(predictor(raw), evaluated(batch.images), rtol=1e-4, atol=1e-3)
                wrong += int((predictor(pixels).argmax(1) != batch.labels).sum())
                count += len(batch.labels)
        series = load_result(done(runs) / "result.json").series[-1]
        key = "val/top1_error" if stats == "worker0" else "val/top1_error_mean"
        assert 100 * wrong / count == pytest.approx(series[key])


def test_a_run_is_found_by_id_folder_and_result(runs: Path) -> None:
    path = done(runs)
    result = load_result(path / "result.json")
    before = torch.random.get_rng_state()
    by = [gnexp.load(name, runs_dir=runs) for name in (path, str(path), result.run_id[:6], result)]
    assert torch.equal(torch.random.get_rng_state(), before)  # it is the caller's
    images = torch.rand(2, 1, 32, 32)
    assert all(torch.equal(predictor(images), by[0](images)) for predictor in by)
    assert by[0].class_names is None


def test_names_of_classes_come_along(runs: Path) -> None:
    directory = RunDirectory(done(runs))
    directory.classes.write_text(json.dumps({"class_names": ["coat", "bag"]}), encoding="utf-8")
    try:
        assert gnexp.load(directory.path).class_names == ("coat", "bag")
    finally:
        directory.classes.unlink()


def test_what_cannot_be_loaded_is_said(runs: Path) -> None:
    unfinished = next(path for path in runs.iterdir() if path != done(runs))
    with pytest.raises(ValueError, match="has no final weights; finish the run with gnexp train first"):
        gnexp.load(unfinished)
    with pytest.raises(ValueError, match=r"^no run zzz in .* \(2 runs there\)"):
        gnexp.load("zzz", runs_dir=runs)
    with pytest.raises(ValueError, match="eval_stats must be worker0 or mean, got precise"):
        gnexp.load(done(runs), eval_stats="precise")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(2, 3, 32, 32), r"images must have 1 channel\(s\) in axis 1, got \(2, 3, 32, 32\)"),
        (torch.rand(1, 32, 32), r"images must be one tensor of \(N, C, H, W\), got \[1, 32, 32\]"),
        ([torch.rand(1, 32, 32)], r"images must be one tensor of \(N, C, H, W\), got list"),
        (torch.ones(2, 1, 32, 32, dtype=torch.int64), r"uint8 or of floats in \[0, 1\], got torch.int64"),
    ],
)
def test_other_images_are_refused(runs: Path, images, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gnexp.load(done(runs))(images)


def test_floats_of_any_precision_are_taken(runs: Path) -> None:
    predictor = gnexp.load(done(runs))
    images = torch.rand(2, 1, 32, 32).half()  # which the wider ones hold exactly
    expected = predictor(images.float())
    for dtype in (torch.float16, torch.float64):
        assert torch.equal(predictor(images.to(dtype)), expected)
    torch.testing.assert_close(predictor.double()(images.float()).float(), expected, rtol=1e-3, atol=1e-3)


def test_a_detector_takes_images_of_any_size(untrained) -> None:
    path = untrained("experiment=coco_fpn", "norm=gn", "init=null")
    predictor = gnexp.load(path)
    channels = predictor.run.data.channels
    images = [torch.randint(0, 256, (channels, size, 64), dtype=torch.uint8) for size in (48, 64)]
    found = predictor(images)
    assert predictor([image.double() / 255 for image in images])[0].keys() == found[0].keys()
    expected = predictor.network([image.float() / 255 for image in images])
    assert len(found) == 2 and set(found[0]) == {"boxes", "labels", "scores", "masks"}
    for mine, theirs in zip(found, expected, strict=True):
        for key in ("boxes", "labels", "scores"):
            torch.testing.assert_close(mine[key], theirs[key], rtol=0, atol=0)
        assert len(mine["masks"]) == len(mine["boxes"])


def test_a_network_of_videos_takes_clips(untrained) -> None:
    path = untrained("experiment=kinetics", "norm=gn", "init=null")
    predictor = gnexp.load(path)
    data = predictor.run.data
    clips = torch.rand(2, data.channels, data.clip_length, data.image_size, data.image_size)
    assert predictor(clips).shape == (2, data.num_classes)
    with pytest.raises(ValueError, match=r"one tensor of \(N, C, T, H, W\), got \[2, "):
        predictor(clips[:, :, 0])
