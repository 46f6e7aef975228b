"""Detectors with synchronized batch norm: images and RoIs of all workers, however the processes hold them."""

from typing import Any

import pytest
import torch

from gnexp.engine.processes import ALONE
from tests.engine.test_processes import assert_close
from tests.models import sync_group
from tests.models.sync_group import CASES, trained
from tests.warm import run_group

pytestmark = pytest.mark.dist


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What 1 and 2 processes found."""
    folder = tmp_path_factory.mktemp("detectors")
    found: dict[int, dict[str, Any]] = {1: {name: trained(name, ALONE) for name in CASES}}
    run_group(2, sync_group.main, folder / "2.pt")
    found[2] = torch.load(folder / "2.pt", weights_only=True)
    return found


@pytest.mark.parametrize("name", list(CASES))
def test_two_processes_compute_what_one_computes(groups: dict[int, dict[str, Any]], name: str) -> None:
    """Images of four sizes, numbers of RoIs that differ, and a process without any for its mask head: float64."""
    assert_close(groups[2][name], groups[1][name], 1e-9, name)


@pytest.mark.parametrize("name", list(CASES))
def test_every_norm_has_learnt_its_statistics(groups: dict[int, dict[str, Any]], name: str) -> None:
    """Else the test above would compare what never changes."""
    for kind in ("model", "precise"):
        running = {key: value for key, value in groups[1][name][kind].items() if key.endswith("running_mean")}
        frozen = [key for key, value in running.items() if not value.any()]
        assert len(running) > 10 and all(key.startswith("backbone.body") for key in frozen)
