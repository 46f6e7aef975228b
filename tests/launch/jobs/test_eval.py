"""What `gnexp eval save_images=N` leaves of a detector: pictures under the run's own precision, from one state."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from gnexp.compose.composer import Composer
from gnexp.config import science, to_dict
from gnexp.engine.checkpoint import save_tensors
from gnexp.experiments import finished
from gnexp.launch.jobs import eval as job
from gnexp.runs.pictures import load_pictures
from gnexp.runs.result import Result
from gnexp.tasks.build import build_task
from gnexp.tasks.detection import Detection

COMPOSER = Composer()


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector's, whose final weights are those that it starts with; bf16."""
    place = tmp_path_factory.mktemp("eval")
    words = ["experiment=coco_fpn", "scale=smoke", "data.num_train=16", "data.num_val=6", "threads=1"]
    run = COMPOSER.run(COMPOSER.flatten([*words, "precision=bf16", f"data.root={place}"]))
    directory = place / f"{run.run_id}-{run.label}"
    directory.mkdir()
    spec = {"format": 1, "run_id": run.run_id, "label": run.label, "config": to_dict(run)}
    (directory / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    model = build_task(run.task).build_model(run, torch.Generator().manual_seed(0))
    save_tensors(directory / "weights.pt", {"run_id": run.run_id, "model": model.state_dict()})
    values = {
        "metrics": {},
        "series": [],
        "num_parameters": 1,
        "data_fingerprint": "0",
        "env": [],
        "seconds": 1.0,
    }
    named = {"run_id": run.run_id, "label": run.label, "scale": run.scale, "science": science(run)}
    Result(status="finished", **named, **values).save(directory / "result.json")
    return directory


def test_an_interrupted_drawing_says_nothing_of_its_pictures(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job.main([str(run_dir / "spec.json"), "worker0", "1"]) == 0
    drawn: list[str] = []

    def stop(path: Path, content: bytes) -> None:
        drawn.append(path.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(finished, "write_bytes", stop)
    with pytest.raises(KeyboardInterrupt):
        job.main([str(run_dir / "spec.json"), "worker0", "2"])
    assert drawn and not (run_dir / "images" / "pictures.json").exists()


def test_pictures_are_drawn_at_the_runs_precision_and_the_state_is_built_once(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, precisions = [], []
    build, draw = finished.build, Detection.draw

    def counted(*arguments):  # type: ignore[no-untyped-def]
        built.append(arguments)
        return build(*arguments)

    def watched(*arguments):  # type: ignore[no-untyped-def]
        precisions.append(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"))
        return draw(*arguments)

    monkeypatch.setattr(finished, "build", counted)
    monkeypatch.setattr(Detection, "draw", watched)
    assert job.main([str(run_dir / "spec.json"), "worker0", "2"]) == 0
    assert len(built) == 1
    assert precisions == [torch.bfloat16] * 2
    about = load_pictures(run_dir / "images" / "pictures.json")
    assert (about.run_id, about.eval_stats) == (run_dir.name.partition("-")[0], "worker0")
    assert about.result == hashlib.sha256((run_dir / "result.json").read_bytes()).hexdigest()
    names = ["000000000001.png", "000000000002.png"]
    assert list(about.sha256) == names
    assert sorted(path.name for path in (run_dir / "images").iterdir()) == [*names, "pictures.json"]
    for name, digest in about.sha256.items():
        assert hashlib.sha256((run_dir / "images" / name).read_bytes()).hexdigest() == digest
