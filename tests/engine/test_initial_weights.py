"""Weights to start from: torchvision's own, other numbers of workers and classes, and what is refused."""

import argparse
import dataclasses
import fractions
import hashlib
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from gnexp.config import RunConfig
from gnexp.engine.initial_weights import load_initial_weights
from gnexp.nn.frozen_bn import FrozenBatchNormAct
from gnexp.tasks.build import build_task
from tests.composing import COMPOSER
from tests.models.detection_cases import detector

CPU = torch.device("cpu")


def build(run: RunConfig, seed: int = 0) -> torch.nn.Module:
    return build_task(run.task).build_model(run, torch.Generator().manual_seed(seed))


def run_of(*overrides: str) -> RunConfig:
    return COMPOSER.run(["workers=4", *overrides])


def starting_from(run: RunConfig, path: Path) -> RunConfig:
    named = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    return dataclasses.replace(run, init=named, init_path=str(path))


def trained(run: RunConfig) -> dict[str, torch.Tensor]:
    """Weights of another seed, with running statistics that differ from worker to worker."""
    weights = build(run, seed=1).state_dict()
    generator = torch.Generator().manual_seed(2)
    return {
        key: torch.rand(value.shape, generator=generator) + 0.5 if "running" in key else value
        for key, value in weights.items()
    }


def save(values: object, path: Path) -> Path:
    torch.save(values, path)
    return path


def test_torchvisions_own_resnet50_gives_its_outputs(tmp_path: Path) -> None:
    theirs = torchvision.models.resnet50(weights=None)
    generator = torch.Generator().manual_seed(1)
    for name, value in theirs.state_dict().items():
        if "running" in name:
            value.uniform_(0.5, 2, generator=generator)
    run = run_of("model=resnet50", "norm=bn", "data=imagenet")
    run = starting_from(run, save(theirs.state_dict(), tmp_path / "resnet50.pth"))
    with torch.device("meta"):
        ours = build(run)
    ours.to_empty(device=CPU)
    assert load_initial_weights(ours, run, CPU) == []
    x = torch.randn(2, 3, 64, 64, generator=generator).double()
    with torch.no_grad():
        torch.testing.assert_close(ours.double().eval()(x), theirs.double().eval()(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["plain", "safetensors", "weights.pt", "checkpoint"])
def test_every_kind_of_file_gives_the_same_weights(tmp_path: Path, kind: str) -> None:
    run = run_of("norm=bn")
    weights = trained(run)
    path = tmp_path / f"w.{kind}"
    if kind == "safetensors":
        save_file(weights, path)
    else:
        values = {
            "weights.pt": {"format": 1, "model": weights},
            "checkpoint": {"state_dict": weights, "epoch": 3},
        }
        save(values.get(kind, weights), path)
    model = build(run)
    notes = load_initial_weights(model, starting_from(run, path), CPU)
    said = "init: the weights are the file's state_dict; what else it holds (epoch) is left out"
    assert notes == ([said] if kind == "checkpoint" else [])
    for key, value in model.state_dict().items():
        assert torch.equal(value, weights[key]), key


def test_worker_0s_statistics_serve_a_norm_with_one_set(tmp_path: Path) -> None:
    weights = trained(run_of("norm=bn"))
    run = run_of("norm=sync_bn")
    model = build(run)
    (note,) = load_initial_weights(model, starting_from(run, save(weights, tmp_path / "w.pt")), CPU)
    assert "worker 0's serve all" in note
    rows = weights["bn1.running_mean"]
    assert rows.dim() == 2 and torch.equal(model.get_buffer("bn1.running_mean"), rows[0])


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "backbone.", "module._orig_mod.model."]
)
def test_what_wrappers_put_before_every_name_is_taken_off_and_said(tmp_path: Path, prefix: str) -> None:
    run = run_of("norm=bn")
    weights = trained(run)
    named = {f"{prefix}{key}": value for key, value in weights.items()} | {"n_averaged": torch.tensor(3)}
    model = build(run)
    (note,) = load_initial_weights(model, starting_from(run, save(named, tmp_path / "w.pt")), CPU)
    assert note == f"init: the names of the file's tensors start with {prefix}, which is taken off"
    for key, value in model.state_dict().items():
        assert torch.equal(value, weights[key]), key


def test_what_a_name_starts_with_stays_where_not_all_do_or_the_model_has_it(tmp_path: Path) -> None:
    run = run_of("norm=gn")
    mixed = {("module." if key == "fc.bias" else "") + key: value for key, value in trained(run).items()}
    with pytest.raises(ValueError, match="the first is module.fc.bias"):
        load_initial_weights(build(run), starting_from(run, save(mixed, tmp_path / "mixed.pt")), CPU)
    model = detector("thin_mask_rcnn", "gn")
    part = {key: value for key, value in model.state_dict().items() if key.startswith("backbone.")}
    run = run_of("norm=gn", "model=thin_mask_rcnn")
    with pytest.raises(ValueError, match="are not in the file .the first is rpn"):
        load_initial_weights(model, starting_from(run, save(part, tmp_path / "part.pt")), CPU)


def test_a_training_checkpoint_of_torchvisions_scripts_is_read(tmp_path: Path) -> None:
    """references/classification/train.py saves its command line, a Namespace, beside the weights."""
    run = run_of("norm=bn")
    weights, model = trained(run), build(run)
    args = argparse.Namespace(lr=0.1, output_dir=str(tmp_path), world_size=8)
    values = {"model": weights, "optimizer": {"state": {}}, "epoch": 3, "args": args}
    for path in (save(values, tmp_path / "zip.pth"), tmp_path / "legacy.pth"):
        torch.save(values, path, _use_new_zipfile_serialization=path.name == "zip.pth")
        notes = load_initial_weights(model, starting_from(run, path), CPU)
        assert notes == [
            "init: the weights are the file's model; what else it holds (optimizer, epoch, args) is left out"
        ]
        assert torch.equal(model.state_dict()["conv1.weight"], weights["conv1.weight"])
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize(
    ("extra", "name"),
    [(fractions.Fraction(1, 2), "fractions.Fraction"), (torch.nn.ReLU(), "torch.nn.modules.activation.ReLU")],
)
@pytest.mark.parametrize("is_inside", [False, True])
def test_an_object_that_could_run_code_is_named_with_what_to_save_instead(
    tmp_path: Path, extra: object, name: str, is_inside: bool
) -> None:
    run = run_of("norm=gn")
    saved = argparse.Namespace(extra=extra) if is_inside else extra  # what is in a Namespace is looked at too
    path = save({"model": trained(run), "args": saved}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="could run code") as caught:
        load_initial_weights(build(run), starting_from(run, path), CPU)
    assert str(caught.value) == (
        f"{path} cannot be read as weights: it holds a {name}, which could run code, and not tensors alone; load it "
        "where it was saved, save its weights with torch.save(model.state_dict(), PATH), and give init=PATH"
    )


def test_a_process_takes_the_statistics_of_its_own_workers(tmp_path: Path) -> None:
    run = run_of("norm=bn")
    weights = trained(run)
    path = save(weights, tmp_path / "w.pt")
    half = build(dataclasses.replace(run, workers=2))
    load_initial_weights(half, starting_from(run, path), CPU, first_worker=2)
    assert torch.equal(half.bn1.running_mean, weights["bn1.running_mean"][2:])


def test_another_number_of_workers_takes_worker_0s_statistics_and_says_so(tmp_path: Path) -> None:
    run = run_of("norm=brn")
    path = save(trained(dataclasses.replace(run, workers=3)), tmp_path / "w.pt")
    model = build(run)
    assert load_initial_weights(model, starting_from(run, path), CPU) == [
        "init: the weights have statistics of 3 workers; worker 0's serve all 4"
    ]
    rows = torch.load(path)["layer1.0.bn2.running_std"]
    assert torch.equal(model.layer1[0].bn2.running_std, rows[:1].expand(4, -1))


@pytest.mark.parametrize(("model", "head"), [("thin_resnet", "fc"), ("thin_vgg", "classifier.6")])
def test_a_head_of_other_classes_keeps_its_initialisation(tmp_path: Path, model: str, head: str) -> None:
    run = run_of(f"model={model}", "norm=gn")
    weights = trained(run)
    for name in (f"{head}.weight", f"{head}.bias"):
        weights[name] = torch.cat([weights[name], weights[name][:2]])  # 12 classes
    path = save(weights, tmp_path / "w.pt")
    built = build(run)
    (note,) = load_initial_weights(built, starting_from(run, path), CPU)
    assert note.startswith(f"init: the classifier {head} keeps its initialisation: it is (10, ")
    assert torch.equal(built.get_submodule(head).weight, build(run).get_submodule(head).weight)
    first = next(iter(built.state_dict()))
    assert torch.equal(built.state_dict()[first], torch.load(path)[first])


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ("norm=gn", "of 74 tensors 24 of the model's are not in the file .the first is bn1.running_mean"),
        ("norm=none", "of the model's are not in the file .the first is bn1.weight"),
        ("model=thin_resnet_deep", "of the file's are not in the model .the first is layer1.1.conv1.weight"),
        ("model.widths=[8,16,32,64]", "have other shapes .the first is conv1.weight"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, theirs: str, message: str) -> None:
    run = run_of("norm=bn")
    path = save(
        trained(run_of("norm=bn", theirs) if "norm" not in theirs else run_of(theirs)), tmp_path / "w.pt"
    )
    model = build(run)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message) as caught:
        load_initial_weights(model, starting_from(run, path), CPU)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as weights"),
        (b"not weights", "cannot be read as weights"),
        ([1, 2], "must hold a state_dict, got list"),
        ({"model": {"a": 1}}, "must hold tensors alone, a is int"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_holds_no_weights_is_one_line(
    tmp_path: Path, content: object, message: str, suffix: str
) -> None:
    path = tmp_path / f"w{suffix}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        save(content, path)
    if suffix == ".safetensors":
        message = "cannot be read as weights"
    run = starting_from(run_of("norm=gn"), path)
    with pytest.raises(ValueError, match=message) as caught:
        load_initial_weights(build(run), run, CPU)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_the_named_one_is_refused(tmp_path: Path) -> None:
    run = run_of("norm=gn")
    path = save({"format": 2, "run_id": "0" * 12, "model": trained(run)}, tmp_path / "weights.pt")
    changed = dataclasses.replace(run, init="sha256:" + "0" * 64, init_path=str(path))
    with pytest.raises(ValueError, match="must be the file with sha256:0.*it has changed"):
        load_initial_weights(build(run), changed, CPU)
    other = dataclasses.replace(changed, init="1" * 12)
    with pytest.raises(ValueError, match="must hold the weights of run 111111111111, it holds those of 0000"):
        load_initial_weights(build(run), other, CPU)
    assert load_initial_weights(build(run), dataclasses.replace(changed, init="0" * 12), CPU) == []
    path.unlink()
    with pytest.raises(ValueError, match="cannot be read .No such file"):
        load_initial_weights(build(run), changed, CPU)


NOTE = (
    "init: the backbone starts from a classifier's weights, without their last layer; the detector's other {} "
    "tensors keep their initialisation"
)


@pytest.mark.parametrize("model", ["thin_mask_rcnn", "thin_mask_rcnn_c4"])
@pytest.mark.parametrize("norm", ["gn", "bn"])
def test_a_classification_run_is_a_detectors_backbone(tmp_path: Path, model: str, norm: str) -> None:
    """All of it but fc, and nothing else; a process has statistics of its own workers alone."""
    run = run_of(f"norm={norm}")
    weights = trained(run)
    path = save({"model": weights}, tmp_path / "w.pt")
    built, fresh = (detector(model, norm, workers=2) for _ in range(2))
    notes = load_initial_weights(built, starting_from(run, path), CPU, first_worker=2)
    before, found = fresh.state_dict(), built.state_dict()
    taken = built.from_classifier(weights)
    assert len(taken) == len(weights) - 2 and notes == [NOTE.format(len(found) - len(taken))]
    for key, value in found.items():
        theirs = taken.get(key, before[key])
        assert torch.equal(value, theirs[2:] if "running" in key else theirs), key


def test_frozen_layers_of_batch_norm_take_worker_0s_in_every_process(tmp_path: Path) -> None:
    """They run on the first row that a process holds: it must not hang on the number of processes."""
    run = run_of("norm=bn")
    weights = trained(run)
    path = save(weights, tmp_path / "w.pt")
    built = detector("thin_mask_rcnn", "bn", "freeze_at=2", workers=2)
    (note,) = load_initial_weights(built, starting_from(run, path), CPU, first_worker=2)
    assert "statistics" not in note
    found = built.state_dict()
    for name, rows in (("bn1", slice(0, 1)), ("layer1.0.bn2", slice(0, 1)), ("layer2.0.bn1", slice(2, 4))):
        theirs = weights[f"{name}.running_mean"][rows].expand(2, -1)
        assert torch.equal(found[f"backbone.body.{name}.running_mean"], theirs), name


def test_frozen_batch_norm_takes_worker_0s_statistics_of_a_batch_norm_run(tmp_path: Path) -> None:
    run = run_of("norm=bn")
    weights = trained(run)
    path = save(weights, tmp_path / "w.pt")
    built = detector("thin_mask_rcnn", "frozen_bn", workers=4)
    notes = load_initial_weights(built, starting_from(run, path), CPU)
    assert (
        notes[0] == "init: the weights have statistics of 4 workers; worker 0's serve all 4"
        and len(notes) == 2
    )
    norm = built.get_submodule("backbone.body.layer2.0.downsample.1")
    assert isinstance(norm, FrozenBatchNormAct)
    for name in ("running_mean", "running_var"):
        assert torch.equal(getattr(norm, name), weights[f"layer2.0.downsample.1.{name}"][0])
    assert torch.equal(norm.weight, weights["layer2.0.downsample.1.weight"])


def test_a_detectors_weights_are_a_detectors(tmp_path: Path) -> None:
    theirs = detector("thin_mask_rcnn", "gn", seed=1)
    path = save(theirs.state_dict(), tmp_path / "w.pt")
    built = detector("thin_mask_rcnn", "gn")
    assert load_initial_weights(built, starting_from(run_of(), path), CPU) == []
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in built.state_dict().items())
    other = detector("thin_mask_rcnn", "gn", num_classes=4)
    with pytest.raises(
        ValueError, match="6 have other shapes .the first is roi_heads.box_predictor.cls_score"
    ):
        load_initial_weights(other, starting_from(run_of(), path), CPU)


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ("norm=gn", "of the model's are not in the file .the first is backbone.body.bn1.running_mean"),
        ("model=thin_resnet_deep", "in the model .the first is backbone.body.layer1.1.conv1.weight"),
        ("model=thin_vgg", "in the model .the first is backbone.body.features.0.weight"),
    ],
)
def test_another_classifier_is_no_backbone(tmp_path: Path, theirs: str, message: str) -> None:
    run = run_of("norm=bn", theirs) if "norm" not in theirs else run_of(theirs)
    path = save(trained(run), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=message) as caught:
        load_initial_weights(detector("thin_mask_rcnn", "bn"), starting_from(run, path), CPU)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("norm", ["gn", "bn"])
def test_a_classification_run_is_inflated_to_videos(tmp_path: Path, norm: str) -> None:
    """Kernels spread over frames; norms, with each worker's statistics, as they are; fc stays, though it would fit."""
    run = run_of(f"norm={norm}")
    weights = trained(run)
    path = save({"model": weights}, tmp_path / "w.pt")
    video = run_of(f"norm={norm}", "model=thin_i3d", "data.num_classes=10", "task.kind=video")
    built, fresh = build(video), build(video)
    (note,) = load_initial_weights(built, starting_from(video, path), CPU)
    assert note == "init: inflated from a network of images; the classifier keeps its initialisation"
    found = built.state_dict()
    assert found.keys() == weights.keys()
    for key, value in found.items():
        if key.startswith("fc."):
            assert torch.equal(value, fresh.state_dict()[key]) and value.shape == weights[key].shape
        else:
            torch.testing.assert_close(value.sum(2) if value.dim() == 5 else value, weights[key])
    again = build(video)
    path = save(found, tmp_path / "video.pt")
    assert load_initial_weights(again, starting_from(video, path), CPU) == []
    assert all(torch.equal(value, found[key]) for key, value in again.state_dict().items())


def test_another_network_of_images_is_not_inflated(tmp_path: Path) -> None:
    path = save(trained(run_of("norm=gn", "model=thin_resnet_deep")), tmp_path / "w.pt")
    video = run_of("norm=gn", "model=thin_i3d", "task.kind=video")
    with pytest.raises(ValueError, match="of the file's are not in the model .the first is layer1.1.conv1"):
        load_initial_weights(build(video), starting_from(video, path), CPU)


def test_other_channels_are_told_by_both_shapes(tmp_path: Path) -> None:
    gray, color = run_of("norm=gn"), run_of("norm=gn", "data=cifar10")
    path = save(trained(gray), tmp_path / "w.pt")
    shapes = r"conv1.weight, \(16, 3, 3, 3\) in the model and \(16, 1, 3, 3\) in the file"
    with pytest.raises(ValueError, match=shapes):
        load_initial_weights(build(color), starting_from(color, path), CPU)
