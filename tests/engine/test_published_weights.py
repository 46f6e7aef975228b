"""Files of weights as others publish them: each gives what its own network gives on its own pixels."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import resnet

from gnexp.cli.weights import compose_for_file
from gnexp.config import RunConfig, to_dict
from gnexp.config.layouts import LAYOUTS, layout_of
from gnexp.engine.initial_weights import load_initial_weights
from gnexp.launch.jobs import eval as eval_job
from gnexp.launch.jobs.weights import identify
from gnexp.tasks.build import build_task
from tests.composing import COMPOSER

CPU = torch.device("cpu")
SMALL = ["model=resnet50", "model.blocks=[1,1,1,1]", "data=imagenet", "data.num_classes=3"]


def theirs(norm: str) -> resnet.ResNet:
    """A random network of one block a stage, by torchvision."""
    layers = {"gn": lambda c: nn.GroupNorm(32, c), "bn": nn.BatchNorm2d}
    torch.manual_seed(0)
    model = resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], num_classes=3, norm_layer=layers[norm])
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.dim() == 1 and tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + (0.0 if name.endswith("bias") else 0.5))
    return model.eval()


def blob_name(name: str) -> str:
    """A tensor's name in Detectron's files."""
    parts = name.split(".")
    end = {"weight": "w", "bias": "b"}[parts[-1]]
    norm_end = {"weight": "s", "bias": "b"}[parts[-1]]
    if parts[0] == "fc":
        return f"pred_{end}"
    if len(parts) == 2:
        return f"conv1_{end}" if parts[0] == "conv1" else f"conv1_gn_{norm_end}"
    block = f"res{int(parts[0][-1]) + 1}_{parts[1]}_branch"
    if parts[2] == "downsample":
        return f"{block}1_{end}" if parts[3] == "0" else f"{block}1_gn_{norm_end}"
    letter = "abc"[int(parts[2][-1]) - 1]
    return f"{block}2{letter}_{end}" if parts[2].startswith("conv") else f"{block}2{letter}_gn_{norm_end}"


def save(model: nn.Module, layout: str, place: Path) -> tuple[Path, list[str]]:
    """Writes the file of a layout; returns it, and what has to be said of it."""
    state = model.state_dict()
    if layout == "detectron":
        blobs = {blob_name(key): value.numpy() for key, value in state.items()}
        blobs |= {f"{key}_momentum": value for key, value in blobs.items()}
        path = place / "R-50-GN.pkl"
        path.write_bytes(pickle.dumps({"blobs": blobs, "cfg": "NUM_GPUS: 8"}, 2))
        return path, []
    path = place / f"{layout}.pth"
    torch.save({"state_dict": state} if layout == "open-mmlab" else state, path)
    return path, ["init_layout=open-mmlab"] if layout == "open-mmlab" else []


def load(run: RunConfig) -> tuple[nn.Module, list[str]]:
    model = build_task(run.task).build_model(run, torch.Generator().manual_seed(0))
    return model.eval(), load_initial_weights(model, run, CPU, whole=True)


def pixels_of(layout: str, images: torch.Tensor) -> torch.Tensor:
    """What a layout's own preprocessing makes of (N, 3, H, W) RGB in [0, 1]."""
    if layout in LAYOUTS:
        means = {"detectron": (102.9801, 115.9465, 122.7717), "open-mmlab": (103.53, 116.28, 123.675)}
        return images.flip(1) * 255 - torch.tensor(means[layout], dtype=images.dtype).view(1, 3, 1, 1)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=images.dtype)
    return (images - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)


@pytest.mark.parametrize(
    ("layout", "norm"), [("torchvision", "bn"), ("timm", "gn"), ("open-mmlab", "gn"), ("detectron", "gn")]
)
def test_a_published_file_gives_what_its_own_preprocessing_gives(
    tmp_path: Path, layout: str, norm: str
) -> None:
    reference = theirs(norm)
    path, words = save(reference, layout, tmp_path)
    run = compose_for_file([*SMALL, f"norm={norm}", f"init={path}", *words])
    assert isinstance(run, RunConfig)
    model, notes = load(run)
    assert any("folded" in note for note in notes) == (layout in LAYOUTS)
    images = torch.rand(2, 3, 96, 80, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mean, std = (
        torch.tensor(value, dtype=torch.float64).view(1, 3, 1, 1) for value in (run.data.mean, run.data.std)
    )
    with torch.no_grad():
        expected = reference.double()(pixels_of(layout, images))
        found = model.double()((images - mean) / std)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_whose_pixels_a_file_is_for_is_part_of_the_id(tmp_path: Path) -> None:
    path, words = save(theirs("gn"), "open-mmlab", tmp_path)
    known, plain = (compose_for_file([*SMALL, "norm=gn", f"init={path}", *more]) for more in (words, []))
    assert isinstance(known, RunConfig) and isinstance(plain, RunConfig)
    assert known.init == plain.init and known.run_id != plain.run_id


def test_a_mean_that_is_not_the_files_is_refused(tmp_path: Path) -> None:
    path, _ = save(theirs("gn"), "detectron", tmp_path)
    with pytest.raises(ValueError, match="data.mean must be the one that init_layout=detectron is for"):
        compose_for_file([*SMALL, "norm=gn", f"init={path}", "data.mean=[0.5,0.5,0.5]"])


def test_a_detectors_backbone_starts_from_the_same_file(tmp_path: Path) -> None:
    reference = theirs("gn")
    path, _ = save(reference, "detectron", tmp_path)
    words = ["scale=paper", "experiment=coco_fpn", "norm=gn", "model.blocks=[1,1,1,1]", f"init={path}"]
    run = COMPOSER.run(COMPOSER.flatten(words))
    assert run.init_layout == "detectron" and run.data.mean == LAYOUTS["detectron"].mean
    model = build_task(run.task).build_model(run, torch.Generator().manual_seed(0))
    notes = load_initial_weights(model, run, CPU)
    assert "folded" in notes[0] and "the backbone starts from a classifier's weights" in notes[-1]
    own = {key: value for key, value in model.state_dict().items() if "backbone.body" in key}
    first = next(value for key, value in own.items() if key.endswith("body.conv1.weight"))
    theirs_first = reference.conv1.weight.detach().flip(1) * 255 * torch.tensor(run.data.std).view(1, 3, 1, 1)
    torch.testing.assert_close(first, theirs_first)
    other = next(value for key, value in own.items() if key.endswith("body.layer2.0.conv2.weight"))
    assert torch.equal(other, reference.layer2[0].conv2.weight)


def test_layouts_are_told_by_what_a_file_is() -> None:
    assert layout_of(".pkl", b"\x80\x02}q\x00", "0" * 64) == "detectron"
    assert layout_of(".pkl", b"PK\x03\x04", "0" * 64) is None
    assert layout_of(".pth", b"PK\x03\x04", "9186a21c" + "0" * 56) == "open-mmlab"
    assert layout_of(".pth", b"PK\x03\x04", "0676ba61" + "0" * 56) is None


def test_a_files_names_tell_model_and_norm() -> None:
    for make, name in ((resnet.resnet50, "resnet50"), (resnet.resnet101, "resnet101")):
        for layer, norm in ((nn.BatchNorm2d, "bn"), (lambda c: nn.GroupNorm(32, c), "gn")):
            with torch.device("meta"):
                model = make(norm_layer=layer)
            assert identify(model.state_dict()) == (name, norm)
            assert identify(f"module.{key}" for key in model.state_dict()) == (name, norm)


def test_a_file_without_a_classifier_starts_training_and_is_not_scored(tmp_path: Path) -> None:
    model = theirs("gn")
    del model.fc
    path, words = save(model, "open-mmlab", tmp_path)
    run = compose_for_file([*SMALL, "norm=gn", f"init={path}", *words])
    assert isinstance(run, RunConfig)
    built = build_task(run.task).build_model(run, torch.Generator().manual_seed(0))
    before = built.state_dict()["fc.weight"].clone()
    assert load_initial_weights(built, run, CPU)[-1] == (
        "init: the classifier fc keeps its initialisation: the file has none"
    )
    assert torch.equal(built.state_dict()["fc.weight"], before)
    with pytest.raises(ValueError, match="fc.weight"):
        load_initial_weights(built, run, CPU, whole=True)


def test_a_file_of_unknown_layout_is_told_in_three_lines(tmp_path: Path) -> None:
    state = {key.replace("layer1", "stage1"): value for key, value in theirs("gn").state_dict().items()}
    path = tmp_path / "unknown.pth"
    torch.save(state, path)
    run = compose_for_file([*SMALL, "norm=gn", f"init={path}"])
    assert isinstance(run, RunConfig)
    with pytest.raises(ValueError, match="must hold the weights of this model") as caught:
        load(run)
    first, missing, extra = caught.value.lines  # type: ignore[attr-defined]
    assert str(path) in first and "\n" not in str(caught.value)
    assert missing.startswith("  missing: 12 (layer1.0.conv1.weight, layer1.0.bn1.weight, ")
    assert extra.startswith("  too many: 12 (stage1.0.conv1.weight, stage1.0.bn1.weight, ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["init_layout=detectron"], "init_layout says what pixels a file of weights is for"),
        (["init_layout=caffe"], "caffe"),
    ],
)
def test_a_layout_without_a_file_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        COMPOSER.run(COMPOSER.flatten(["scale=paper", *words]))


def test_a_file_is_scored_on_val_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    root = tmp_path / "imagenet"
    images = []
    for name in ("a", "b", "c"):
        (root / "val" / name).mkdir(parents=True)
        for i in range(2):
            pixels = generator.integers(0, 256, (256, 256, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "val" / name / f"{i}.png")
            images.append(torch.from_numpy(pixels[16:240, 16:240].copy()).permute(2, 0, 1))
    reference = theirs("gn")
    path, _ = save(reference, "detectron", tmp_path)
    words = [*SMALL, "norm=gn", f"init={path}", f"data.root={root}", "data.loader_workers=0", "threads=1"]
    run = compose_for_file(words)
    assert isinstance(run, RunConfig)
    spec = tmp_path / "spec.json"
    values = {"format": 1, "run_id": run.run_id, "label": run.label, "config": to_dict(run)}
    spec.write_text(json.dumps(values), encoding="utf-8")
    assert eval_job.main([str(spec), "worker0", "0", "init"]) == 0
    with torch.no_grad():
        found = reference(pixels_of("detectron", torch.stack(images).float() / 255)).argmax(1)
    wrong = int((found != torch.tensor([0, 0, 1, 1, 2, 2])).sum())
    said = capsys.readouterr()
    assert said.out == f"worker0\ttop1_error\t{100 * wrong / 6:.4f}\n"
    assert "imagenet has 50000 val images" in said.err and "train" not in said.err
