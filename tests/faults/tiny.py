"""Runs of half a second, where they stop, and what it means that one ended equal to another."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gnexp.config import DataConfig, RecipeConfig, RunConfig, data_config, norm_config, to_dict
from gnexp.engine.checkpoint import load_tensors
from gnexp.experiments.run import train_run
from gnexp.runs.spec import Spec, load_spec
from gnexp.system.signals import Stopper, StopRequest

CPU = torch.device("cpu")
STEPS, EPOCHS = 4, 3
NORMS = {
    "bn": norm_config(kind="bn", momentum=0.1),
    "sync_bn": norm_config(kind="sync_bn", momentum=0.1),
    # Its ramp is passed within the run.
    "brn": norm_config(kind="brn", momentum=0.1, r_max=1.5, d_max=0.5, renorm_ramp=(0.1, 0.9, 1.7)),
    "gn": norm_config(num_groups=8),
}
TINY = RunConfig(
    norm=NORMS["bn"],
    # Augmented; 5 images are left over in each epoch, and 21 of val divide over no processes.
    data=data_config(exposure=1.0, clutter=0, num_train=8 * STEPS + 5, num_val=21, shift=2, loader_workers=0),
    recipe=RecipeConfig(name="smoke", epochs=EPOCHS, base_lr=0.4, report_epochs=1),
    batch=4,
    workers=2,
    scale="smoke",
    threads=1,
    device="cpu",
)

ADAMW = RecipeConfig(
    name="smoke", epochs=EPOCHS, base_lr=0.02, report_epochs=1, optimizer="adamw", schedule="cosine"
)


def write_spec(runs: Path, **changes: Any) -> Path:
    """Writes the spec of TINY with some fields changed and returns its path."""
    run = dataclasses.replace(TINY, **changes)
    directory = runs / f"{run.run_id}-{run.label}"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "spec.json"
    path.write_text(
        json.dumps({"format": 1, "run_id": run.run_id, "label": run.label, "config": to_dict(run)}),
        encoding="utf-8",
    )
    return path


def photographs(root: Path, num_train: int = 8 * STEPS + 5) -> DataConfig:
    """A folder of generated JPEGs in two classes, 21 of val, unless it is there, and the config that reads it."""
    rng = np.random.default_rng(0)
    for split, num in (("train", num_train), ("val", 21)):
        for i in range(num):
            path = root / split / f"class{i % 2}" / f"{i:03d}.jpg"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
    return data_config(
        name="photographs",
        kind="imagefolder",
        root=str(root),
        channels=3,
        num_classes=2,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        crop_area=(0.08, 1.0),
        crop_aspect=(0.75, 1.33),
        jitter=0.4,
        eval_resize=36,
        loader_workers=0,
    )


class StopAt(Stopper):
    """Asks to stop at one of the moments at which a run looks: before an epoch, after a step, before a batch of val.

    Args:
        look: which moment, counted from 1; 0 = never.
    """

    def __init__(self, look: int) -> None:
        self.looks = 0
        self._look = look
        super().__init__()

    @property
    def received(self) -> int | None:  # type: ignore[override]
        self.looks += 1
        return 15 if self.looks == self._look else None

    @received.setter
    def received(self, number: int | None) -> None:
        pass


@contextlib.contextmanager
def run_threads() -> Iterator[None]:
    """As many threads as a trainer of TINY has, whatever the tests were started with: sums hang on their number."""
    assert TINY.threads is not None
    before = torch.get_num_threads()
    torch.set_num_threads(TINY.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train_whole(spec: Path) -> int:
    """Trains to the end and returns how often the run looked whether it should stop."""
    stopper = StopAt(0)
    with run_threads():
        train_run(load_spec(spec), stopper)
    return stopper.looks


def train_until(spec: Path, look: int) -> bool:
    """One segment that is asked to stop at a look; whether it came to stop before it was done."""
    loaded: Spec = load_spec(spec)
    try:
        with run_threads():
            train_run(loaded, StopAt(look))
    except StopRequest:
        return True
    return False


def contents(directory: Path) -> dict[str, Any]:
    """All that must be equal: final weights, the last checkpoint but its clock, metrics.jsonl, the result's numbers."""
    newest = max((directory / "checkpoints").glob("*.pt"))
    saved = load_tensors(newest, CPU)
    del saved["state"]["position"]["train_seconds"]
    result = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    return {
        "weights": load_tensors(directory / "weights.pt", CPU),
        "newest": newest.name,
        "checkpoint": saved,
        "metrics": (directory / "metrics.jsonl").read_bytes(),
        "result": {key: result[key] for key in ("status", "metrics", "series", "data_fingerprint")},
    }


def assert_equal(found: Any, expected: Any, name: str = "") -> None:
    """Bit for bit, every tensor and every other value of nested states."""
    assert type(found) is type(expected), name
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), name
        for key in expected:
            assert_equal(found[key], expected[key], f"{name}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), name
        for index, pair in enumerate(zip(found, expected, strict=True)):
            assert_equal(*pair, f"{name}/{index}")
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), name
    else:
        assert found == expected, name
