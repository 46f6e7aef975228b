"""gnexp predict: files in, the network's own probabilities and boxes out, and what cannot be read is told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO
from PIL import Image

import gnexp
from gnexp.config import to_dict
from gnexp.engine.checkpoint import save_tensors
from gnexp.experiments.predict import find_images
from gnexp.launch.jobs import predict as job
from gnexp.tasks.build import build_task
from tests.composing import COMPOSER

NAMES = {"class_names": [f"garment {i}" for i in range(10)], "category_ids": list(range(11, 21))}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images, one of them in a folder below, a broken one, and a file of another kind."""
    folder, generator = tmp_path / "photos", np.random.default_rng(0)
    (folder / "below").mkdir(parents=True)
    for name, size in (("a.png", (40, 64, 3)), ("below/b=1.png", (64, 48, 3))):
        Image.fromarray(generator.integers(0, 256, size, dtype=np.uint8)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    return folder


def run_dir(place: Path, *words: str) -> Path:
    """The directory of a run that ended with the weights that it started with."""
    run = COMPOSER.run(COMPOSER.flatten([*words, "scale=smoke", "threads=1", "device=cpu"]))
    path = place / f"{run.run_id}-{run.label}"
    path.mkdir()
    values = {"format": 1, "run_id": run.run_id, "label": run.label, "config": to_dict(run)}
    (path / "spec.json").write_text(json.dumps(values), encoding="utf-8")
    (path / "classes.json").write_text(json.dumps(NAMES), encoding="utf-8")
    model = build_task(run.task).build_model(run, torch.Generator().manual_seed(1))
    save_tensors(path / "weights.pt", {"run_id": run.run_id, "model": model.state_dict()})
    return path


def predict(run: Path, images: list[str], **changes: Any) -> int:
    settings = {"spec": str(run / "spec.json"), "is_file": False, "images": images, "eval_stats": "worker0"}
    return job.main([json.dumps({**settings, "output": "", "top": 2, **changes})])


def test_images_of_a_folder_get_classes_and_probabilities(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_dir(tmp_path, "norm=bn")
    assert predict(run, [str(photos)], output=str(tmp_path / "out")) == 1  # one was not read
    said = capsys.readouterr()
    assert f"note: {photos}: 1 other entry passed over, the first notes.txt" in said.err
    assert said.err.count("bad: ") == 1 and f"cannot read the image {photos / 'broken.jpg'}" in said.err
    entries = json.loads((tmp_path / "out" / "predictions.json").read_text(encoding="utf-8"))
    assert [entry["file"] for entry in entries] == [str(photos / "a.png"), str(photos / "below" / "b=1.png")]
    image = Image.open(photos / "a.png").convert("RGB")
    width, height = 32 * 64 // 40, 32
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None],
        (height, width),
        mode="bicubic",
        antialias=True,
    )[0]
    left = round((width - 32) / 2)
    gray = (resized[:, :, left : left + 32].float() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(
        0
    )
    with torch.no_grad():
        expected = gnexp.load(run)(gray.round().to(torch.uint8)[None, None]).softmax(1)[0]
    found = {entry["name"]: entry["probability"] for entry in entries[0]["classes"]}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    for label, name in enumerate(NAMES["class_names"]):
        assert found[str(name)] == pytest.approx(float(expected[label]), abs=5e-5)  # 4 digits are shown
    best = entries[0]["classes"][0]
    assert f"{photos / 'a.png'}: {best['name']} {best['probability']:.4f}, " in said.out


def test_a_detectors_finds_are_drawn_and_written_as_coco_has_them(tmp_path: Path, photos: Path) -> None:
    run = run_dir(tmp_path, "experiment=coco_fpn", "norm=gn", "init=null", f"data.root={tmp_path}")
    out = tmp_path / "out"
    assert predict(run, [str(photos / "a.png"), str(photos / "below")], output=str(out)) == 0
    coco = COCO(str(out / "detections.json"))
    assert [image["file_name"] for image in coco.imgs.values()] == [
        str(photos / "a.png"),
        str(photos / "below" / "b=1.png"),
    ]
    assert [(image["width"], image["height"]) for image in coco.imgs.values()] == [(64, 40), (48, 64)]
    assert [coco.cats[i]["name"] for i in NAMES["category_ids"]] == NAMES["class_names"]
    for entry in coco.anns.values():
        image = coco.imgs[entry["image_id"]]
        assert coco.annToMask(entry).shape == (image["height"], image["width"])
        assert 0 <= entry["score"] <= 1 and entry["category_id"] in coco.cats
    with Image.open(out / "0001-a.png") as picture:
        assert picture.width / picture.height == 64 / 40
    assert (out / "0002-b=1.png").is_file()


def test_what_words_name(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert find_images(["a.png", "**/*.png", "a.png"]).paths == ["a.png", "below/b=1.png"]
    assert find_images(["notes.txt"]).paths == [
        "notes.txt"
    ]  # named, it is looked at, and told when it is none
    with pytest.raises(ValueError, match="there is no image or folder c.png, and nothing that matches it"):
        find_images(["a.png", "c.png"])
    (photos / "empty").mkdir()
    with pytest.raises(ValueError, match="no image in empty"):
        find_images(["empty"])


def test_where_nothing_can_be_read_it_is_a_mistake(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_dir(tmp_path, "norm=gn")
    assert predict(run, [str(photos / "broken.jpg"), str(photos / "notes.txt")]) == 2
    assert capsys.readouterr().out == ""


def test_a_network_of_videos_takes_no_images(tmp_path: Path, photos: Path) -> None:
    run = run_dir(tmp_path, "experiment=kinetics", "norm=gn", "init=null")
    with pytest.raises(ValueError, match="gnexp predict takes images, .* is a network of videos"):
        predict(run, [str(photos)])
