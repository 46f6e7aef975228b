"""However the workers are spread over processes, or over passes of one, the same is computed."""

import dataclasses
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from gnexp.engine.processes import ALONE, Processes, joined
from tests.engine import group
from tests.engine.group import CPU, MORE_STEPS, NORMS, RUN, STEPS, all_of_them, build_as, first_steps, trained
from tests.warm import run_group, told_of_each_other

pytestmark = pytest.mark.dist


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What 1, 2 and 4 processes found, 8, 4 and 2 workers in each."""
    folder = tmp_path_factory.mktemp("groups")
    found: dict[int, dict[str, Any]] = {1: all_of_them(ALONE)}
    for size in (2, 4):
        run_group(size, group.main, folder / f"{size}.pt")
        found[size] = torch.load(folder / f"{size}.pt", weights_only=True)
    return found


def assert_close(found: Any, expected: Any, tolerance: float, name: str = "") -> None:
    """Every tensor and number of nested states."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), name
        for key in expected:
            assert_close(found[key], expected[key], tolerance, f"{name}/{key}")
    elif isinstance(expected, torch.Tensor):
        torch.testing.assert_close(
            found, expected, rtol=0, atol=tolerance, msg=lambda text: f"{name}: {text}"
        )
    elif isinstance(expected, list):
        assert len(found) == len(expected), name
        for index, pair in enumerate(zip(found, expected, strict=True)):
            assert_close(*pair, tolerance, f"{name}/{index}")
    elif isinstance(expected, float) and "seconds" not in name:
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance), name


@pytest.mark.parametrize(("size", "dtype"), [(2, "float64"), (4, "float64"), (2, "float32")])
@pytest.mark.parametrize("norm", list(NORMS))
def test_processes_compute_what_one_computes(
    groups: dict[int, dict[str, Any]], size: int, norm: str, dtype: str
) -> None:
    """Weights, optimizer, all running statistics, losses; float64 after 6 or 20 steps, float32 after one.

    Of float32 what a forward pass gives, which is continuous. A gradient is not: a ReLU that rounding turns off moves
    each of them by far more than rounding.
    """
    found, expected = (groups[n][f"{norm} {dtype}"] for n in (size, 1))
    if dtype == "float64":
        assert_close(found, expected, 1e-9)
    else:
        assert_close(found["losses"], expected["losses"], 1e-5)
        first, second = (one["state"]["model"] for one in (found, expected))
        assert first.keys() == second.keys()
        for name in second:
            if "running" in name:
                assert_close(first[name], second[name], 1e-5, name)
    if NORMS[norm].has_running_stats:
        running = expected["state"]["model"]["bn1.running_mean"]
        if NORMS[norm].statistics_over == "worker":
            assert running.shape[0] == 8 and len(running.unique(dim=0)) == 8  # each worker has its own
        else:
            assert running.shape == (8,) and len(running.unique()) == 8  # of the channels


@pytest.mark.parametrize("case", ["adamw", "foreign"])
def test_processes_compute_so_with_adamw_and_in_torchvisions_networks(
    groups: dict[int, dict[str, Any]], case: str
) -> None:
    """In the other package's network: draws are keyed, and so every image has its own wherever it is."""
    assert_close(groups[2][f"{case} float64"], groups[1][f"{case} float64"], 1e-9)


@pytest.mark.parametrize("norm", list(NORMS))
def test_evaluation_is_exact(groups: dict[int, dict[str, Any]], norm: str) -> None:
    """53 images over 1, 2 and 4 processes: none is dropped, none counts twice, under each of the statistics."""
    one, two, four = (groups[n][f"{norm} float64"]["scores"] for n in (1, 2, 4))
    assert one == two == four
    assert all(
        abs(score * 53 / 100 - round(score * 53 / 100)) < 1e-9
        for scores in one.values()
        for score in scores.values()
    )


@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize("norm", [norm for norm in NORMS if not NORMS[norm].needs_resident_workers])
def test_passes_compute_what_one_pass_computes(
    groups: dict[int, dict[str, Any]], norm: str, at_once: int
) -> None:
    found = trained(norm, ALONE, torch.float64, STEPS, workers_per_pass=at_once)
    assert_close(found, groups[1][f"{norm} float64"], 1e-9)


@pytest.mark.parametrize("norm", list(NORMS))
def test_a_checkpoint_of_one_number_of_processes_serves_another(
    groups: dict[int, dict[str, Any]], norm: str
) -> None:
    """Saved by four processes after their steps, taken up by one."""
    num = MORE_STEPS.get(norm, STEPS)
    run = dataclasses.replace(RUN, norm=NORMS[norm])
    state = build_as(run, ALONE, torch.float64)
    state.load_state_dict(groups[4][f"{norm} float64"]["state"])
    assert state.epoch * state.num_steps + state.step == num
    (record,) = first_steps(state, 1)
    whole = trained(norm, ALONE, torch.float64, num + 1)
    assert record.loss == pytest.approx(whole["losses"][num], abs=1e-9)
    assert_close(state.model_state(), whole["state"]["model"], 1e-9)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_gradients_travel_with_the_last_pass_alone(tmp_path: Path, is_compiled: bool) -> None:
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        processes = Processes(store=store)
        replica = processes.replicate(torch.nn.Linear(2, 2), CPU)
        called = torch.compile(replica, backend="eager") if is_compiled else replica
        for is_last in (False, True):
            with processes.accumulating(called, is_last):
                assert replica.require_backward_grad_sync == is_last
    finally:
        dist.destroy_process_group()


def test_the_port_of_a_test_s_group_is_taken_before_its_processes_start() -> None:
    """One that was merely free has been another program's by then: a process waited there for an answer."""
    with told_of_each_other(2) as told:
        socket.create_connection((told["MASTER_ADDR"], int(told["MASTER_PORT"])), 5).close()


def test_a_group_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with (
        pytest.raises(
            ValueError, match="processes=2 must be the number that torchrun or srun started, which is 4"
        ),
        joined(dataclasses.replace(RUN, processes=2), CPU),
    ):
        pass
