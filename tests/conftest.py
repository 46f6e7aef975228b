"""Shared by all tests."""

import os
import random
import signal
import subprocess

import pytest

from gnexp.system.hardware import num_cores

# Before torch is imported: small tensors gain nothing from a second thread, and threads that outnumber the cores spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before Triton is imported: without a GPU its kernels are tested by its interpreter. `make test-gpu` sets it to 0.
os.environ.setdefault("TRITON_INTERPRET", "1")

# A shell that starts the tests in the background has SIGINT ignored, and the processes under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run files, and tests within a file, in random order"
    )


def pytest_xdist_auto_num_workers() -> int:
    """Of `-n auto`: the cores that a container grants, which are fewer than those that it shows."""
    return num_cores()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Chooses the order, what stays together under xdist, and what is skipped."""
    seed = config.getoption("shuffle")
    if seed is not None:
        keys = random.Random(seed)
        of_files = {path: keys.random() for path in dict.fromkeys(item.path for item in items)}
        of_items = {item: keys.random() for item in items}
        items.sort(key=lambda item: (of_files[item.path], of_items[item]))
    if config.pluginmanager.hasplugin("xdist"):
        _group(items)
        items.sort(key=lambda item: _group_of(item) != _PROCESSES)  # stable; the longest group first
    _skip_without_gpu(items)


def _group(items: list[pytest.Item]) -> None:
    """A file stays together, since it shares what its fixtures build, and so do some folders.

    All tests of contracts expand the same experiments. Tests of faults, and those marked dist, signal and time what
    they start: two of them at once would slow each other.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group_of(item)))


def _group_of(item: pytest.Item) -> str:
    folder = item.path.parent.name
    if item.get_closest_marker("dist") or folder == "faults":
        return _PROCESSES
    return folder if folder == "contracts" else str(item.path.relative_to(item.config.rootpath))


def _skip_without_gpu(items: list[pytest.Item]) -> None:
    items_of_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if items_of_gpu and not _has_gpu():
        for item in items_of_gpu:
            item.add_marker(pytest.mark.skip(reason=_NO_GPU))


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command starts in this test's own process is forked from one that has imported torch."""
    from tests import warm as starter

    monkeypatch.setattr(subprocess, "Popen", starter.Popen)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many."""
    skipped = terminalreporter.stats.get("skipped", [])
    num = sum(_NO_GPU in str(report.longrepr) for report in skipped)
    if num:
        terminalreporter.write_line(f"{num} tests marked gpu were skipped: {_NO_GPU}")


def _has_gpu() -> bool:
    if os.environ.get("GNEXP_GPU_TESTS") == "cpu":  # `make gpu-rehearsal` has the interpreter stand in
        return True
    import torch  # a second or two, for the tests of torch alone

    return torch.cuda.is_available()


_PROCESSES = "processes"
_NO_GPU = "no GPU that torch can use"
