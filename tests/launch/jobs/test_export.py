"""What `gnexp export` writes and prints: other libraries' networks load it strictly and give equal outputs."""

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors import safe_open

from gnexp.compose.composer import Composer
from gnexp.config import RunConfig, science, to_dict
from gnexp.data.build import build_dataset
from gnexp.data.loader import train_batches
from gnexp.engine.checkpoint import save_tensors
from gnexp.engine.initial_weights import load_initial_weights
from gnexp.experiments.run import train_run
from gnexp.launch.jobs import export
from gnexp.nn.statistics import with_eval_stats, with_precise_stats
from gnexp.runs.result import DIVERGED, Result
from gnexp.runs.spec import load_spec
from gnexp.tasks.build import build_task
from tests.data.annotations import annotations_path, write_coco
from tests.experiments.runs import SMOKE
from tests.grids import thin

COMPOSER = Composer()
RESNET18 = ["model=resnet50", "model.block=basic", "model.blocks=[2,2,2,2]", "data=imagenet", "workers=2"]


def randomize(model: torch.nn.Module) -> None:
    """Weights under which no layer is silent, and running statistics that differ from worker to worker."""
    generator = torch.Generator().manual_seed(1)
    for name, value in model.state_dict().items():
        if "running_mean" in name:
            value.normal_(0, 0.2, generator=generator)
        elif "running" in name or (name.endswith("weight") and value.dim() == 1):
            value.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith("bias"):
            value.normal_(0, 0.1, generator=generator)


def finished_run(runs: Path, run: RunConfig) -> tuple[Path, torch.nn.Module]:
    """A run's directory with random final weights, and its model."""
    directory = runs / f"{run.run_id}-{run.label}"
    directory.mkdir(parents=True)
    spec = {"format": 1, "run_id": run.run_id, "label": run.label, "config": to_dict(run)}
    (directory / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    model = build_task(run.task).build_model(run, torch.Generator().manual_seed(0))
    randomize(model)
    save_tensors(directory / "weights.pt", {"run_id": run.run_id, "model": model.state_dict()})
    return directory, model


def exported(directory: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """Exports, runs the Python that was printed, and returns its variables."""
    capsys.readouterr()
    file_format, eval_stats, output = (*words, *("torchvision", "worker0", "")[len(words) :])
    assert export.main([str(directory / "spec.json"), file_format, eval_stats, output]) == 0
    variables: dict[str, object] = {}
    exec(capsys.readouterr().out, variables)
    return variables


def assert_same_outputs(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        expected = theirs.double().eval()(x)
        # An export's own arithmetic is in float32: a mean over workers, the square of batch renorm's std.
        torch.testing.assert_close(ours.double().eval()(x), expected, rtol=1e-5, atol=1e-5)
    assert float(expected.std(0).max()) > 0.01, "the weights hide what the images are"


@pytest.fixture(scope="module")
def resnet50_gn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    run = COMPOSER.run(["model=resnet50", "norm=gn", "data=imagenet"])
    return finished_run(tmp_path_factory.mktemp("runs"), run)


@pytest.mark.slow
def test_torchvisions_resnet50_with_groups(
    resnet50_gn: tuple[Path, torch.nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, ours = resnet50_gn
    theirs = torchvision.models.resnet50(norm_layer=lambda c: torch.nn.GroupNorm(32, c))
    loaded = exported(directory, capsys)
    theirs.load_state_dict(loaded["weights"], strict=True)
    assert_same_outputs(ours, theirs)
    assert isinstance(loaded["model"], torchvision.models.ResNet)
    about = json.loads((directory / "export.pt.json").read_text(encoding="utf-8"))
    assert about == {"run_id": directory.name[:12], "norm": "gn32", "eval_stats": "none"}


def test_timms_resnet50_gn(
    resnet50_gn: tuple[Path, torch.nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, ours = resnet50_gn
    theirs = timm.create_model("resnet50_gn", pretrained=False)
    theirs.load_state_dict(exported(directory, capsys, "safetensors")["weights"], strict=True)
    assert_same_outputs(ours, theirs)


@pytest.mark.parametrize(
    ("norm", "eval_stats"), thin([*itertools.product(["bn", "brn"], ["worker0", "mean"])], 3)
)
def test_running_statistics_and_batch_renorms_std(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], norm: str, eval_stats: str
) -> None:
    directory, ours = finished_run(tmp_path, COMPOSER.run([*RESNET18, f"norm={norm}", "norm.eps=0.001"]))
    theirs = exported(directory, capsys, "torchvision", eval_stats)["model"]
    assert isinstance(theirs, torch.nn.Module)
    assert_same_outputs(with_eval_stats(ours, eval_stats), theirs)


def test_a_network_that_torchvision_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory, ours = finished_run(tmp_path, SMOKE)
    path = tmp_path / "weights.safetensors"
    loaded = exported(directory, capsys, "safetensors", "mean", str(path))
    assert "model" not in loaded
    ours.load_state_dict(loaded["weights"])
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"run_id": SMOKE.run_id, "norm": "bn", "eval_stats": "mean"}
    with pytest.raises(ValueError, match="use format=safetensors"):
        export.main([str(directory / "spec.json"), "torchvision", "mean", str(path)])


@pytest.mark.parametrize("norm", ["bn", "brn", "gn"])
def test_a_run_can_start_from_an_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], norm: str
) -> None:
    run = COMPOSER.run([f"norm={norm}", "workers=2"])
    directory, ours = finished_run(tmp_path, run)
    path = tmp_path / "exported.safetensors"
    exported(directory, capsys, "safetensors", "mean", str(path))
    start = COMPOSER.run([f"norm={norm}", "workers=4", f"init={path}"])
    model = build_task(start.task).build_model(start, torch.Generator())
    assert load_initial_weights(model, start, torch.device("cpu")) == []
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():
        expected = with_eval_stats(ours.double(), "mean")(x)
        torch.testing.assert_close(model.double().eval()(x), expected, rtol=1e-5, atol=1e-5)


def test_precise_statistics_are_those_of_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, ours = finished_run(tmp_path, SMOKE)
    dataset = build_dataset(SMOKE.data, torch.device("cpu"))
    batches = train_batches(dataset, seed=0, epoch=SMOKE.recipe.epochs, total_batch=SMOKE.total_batch)
    expected = with_precise_stats(
        ours, ((batch.images, slice(0, SMOKE.workers)) for batch in batches)
    ).state_dict()
    found = exported(directory, capsys, "safetensors", "precise")["weights"]
    assert isinstance(found, dict)
    torch.testing.assert_close(found["layer2.0.bn1.running_var"], expected["layer2.0.bn1.running_var"][0])


def test_a_run_without_final_weights_is_one_line(tmp_path: Path) -> None:
    directory, _ = finished_run(tmp_path, SMOKE)
    words = [str(directory / "spec.json"), "safetensors", "worker0", ""]
    (directory / "weights.pt").unlink()
    with pytest.raises(ValueError, match="has no final weights; finish the run"):
        export.main(words)
    blank = {f.name: None for f in dataclasses.fields(Result)}
    blank |= {"run_id": SMOKE.run_id, "status": DIVERGED, "science": science(SMOKE), "format": 1}
    Result(**blank).save(directory / "result.json")
    with pytest.raises(ValueError, match="diverged, so it has no final weights"):
        export.main(words)


def test_class_names_go_from_the_data_into_the_run_and_its_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A detector on odd entries, whose run lists what was done to them."""
    write_coco(tmp_path / "coco")
    for split in ("train", "val"):
        path = annotations_path(tmp_path / "coco", split)
        content = json.loads(path.read_text(encoding="utf-8"))
        content["annotations"][0]["bbox"][0] = -1.3
        path.write_text(json.dumps(content), encoding="utf-8")
    words = [
        "experiment=coco_fpn",
        "scale=smoke",
        "norm=gn",
        "data=coco",
        "data.num_train=null",
        "data.num_val=null",
    ]
    words += [
        f"data.root={tmp_path / 'coco'}",
        "data.name=things",
        "data.num_classes=4",
        "data.loader_workers=0",
    ]
    words += ["data.on_error=skip", "data.image_size=32", "data.min_size=32", "data.max_size=64", "init=null"]
    words += [
        "recipe.epochs=1",
        "recipe.epoch_steps=1",
        "recipe.report_epochs=1",
        "recipe.warmup_steps=1",
        "workers=1",
    ]
    run = COMPOSER.run(COMPOSER.flatten(words))
    directory = tmp_path / "runs" / "one"
    directory.mkdir(parents=True)
    spec = {"format": 1, "run_id": run.run_id, "label": run.label, "config": to_dict(run)}
    (directory / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    result = train_run(load_spec(directory / "spec.json"))
    assert result.num_skipped == 2 and "val/mask_ap" in result.metrics
    names = [f"thing {i}" for i in (1, 2, 3, 90)]
    classes = json.loads((directory / "classes.json").read_text(encoding="utf-8"))
    assert classes == {"class_names": names, "category_ids": [1, 2, 3, 90]}
    capsys.readouterr()
    assert export.main([str(directory / "spec.json"), "safetensors", "worker0", ""]) == 0
    with safe_open(directory / "export.safetensors", "pt") as file:
        about = file.metadata()
    assert about["run_id"] == run.run_id
    assert json.loads(about["class_names"]) == names and json.loads(about["category_ids"]) == [1, 2, 3, 90]
