"""Batch norm in stages that model.freeze_at freezes: two processes compute what one does."""

from typing import Any

import pytest
import torch

from gnexp.engine.processes import ALONE
from gnexp.tasks.build import build_task
from tests.composing import COMPOSER
from tests.engine import frozen_group
from tests.engine.frozen_group import WEIGHTS, run_in, trained
from tests.engine.test_processes import assert_close
from tests.warm import run_group

pytestmark = pytest.mark.dist


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What 1 and 2 processes found, from a classifier whose two workers have statistics of their own."""
    folder = tmp_path_factory.mktemp("frozen")
    run = COMPOSER.run(["norm=bn", "workers=2"])
    weights = build_task(run.task).build_model(run, torch.Generator().manual_seed(0)).state_dict()
    generator = torch.Generator().manual_seed(1)
    for name, value in weights.items():
        if "running" in name:
            value += torch.rand(value.shape, generator=generator)
    torch.save(weights, folder / WEIGHTS)
    assert run_in(folder).workers == 2
    found = {1: trained(folder, ALONE)}  # and makes the images
    run_group(2, frozen_group.main, folder / "2.pt")
    found[2] = torch.load(folder / "2.pt", weights_only=True)
    return found


def test_two_processes_compute_what_one_computes(groups: dict[int, dict[str, Any]]) -> None:
    """Weights, optimizer, every worker's running statistics, losses; float64 after two steps."""
    for key in ("start", "state", "losses"):
        assert_close(groups[2][key], groups[1][key], 1e-9, key)
    # Of detections that score alike either may come first.
    assert groups[2]["scores"]["worker0"] == pytest.approx(groups[1]["scores"]["worker0"], abs=0.5)


def test_frozen_stages_stay_and_the_others_train(groups: dict[int, dict[str, Any]]) -> None:
    """Else the test above would compare what never changes."""
    for found in groups.values():
        start, end = found["start"], found["state"]["model"]
        changed = {name for name in start if not torch.equal(start[name], end[name])}
        frozen = [f"backbone.body.{layer}" for layer in ("conv1", "bn1", "layer1")]
        assert not [name for name in changed if name.startswith(tuple(frozen))]
        for name in ("layer2.0.conv1.weight", "layer2.0.bn1.weight", "layer2.0.bn1.running_mean"):
            assert f"backbone.body.{name}" in changed
        rows = start["backbone.body.bn1.running_mean"], start["backbone.body.layer2.0.bn1.running_mean"]
        assert [len(of_workers.unique(dim=0)) for of_workers in rows] == [1, 2]
