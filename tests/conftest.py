"""Shared by all tests."""

import gc
import os
import random
import signal
import subprocess
from typing import Any

import pytest

import tests.garments  # noqa: F401  (for what it replaces)
from gnexp.system.hardware import num_cores

# Before torch is imported: small tensors gain nothing from a second thread, and threads that outnumber the cores spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before Triton is imported: without a GPU its kernels are tested by its interpreter. `make test-gpu` sets it to 0.
os.environ.setdefault("TRITON_INTERPRET", "1")

# A shell that starts the tests in the background has SIGINT ignored, nohup has SIGHUP ignored, and the processes under
# test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run files, and tests within a file, in random order"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of `-n auto`: one more than the cores that a container grants, since many tests wait for processes."""
    return num_cores() + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What stays on one core under xdist: see _place_of. Its own groups go by marks and are not held by pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class ByPlace(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _place_of(nodeid)

    return ByPlace(config, log)


def _place_of(nodeid: str) -> str:
    """A file, since it shares what its fixtures build, or one of two folders.

    Tests of faults signal and time processes: two of them at once would slow each other. All tests of contracts expand
    the same experiments.
    """
    folder = "/".join(nodeid.split("/")[:2])
    return folder if folder in _FOLDERS else nodeid.partition("::")[0]


_FOLDERS = ("tests/faults", "tests/contracts")
# What takes longest, the longest first: what is left for the end is short, and no core waits long for another.
_FIRST = (
    *_FOLDERS,
    "tests/engine/test_processes.py",
    "tests/ops/test_fused.py",
    "tests/cli/test_end_to_end.py",
    "tests/test_package.py",
    "tests/models/test_mask_rcnn.py",
    "tests/models/test_foreign.py",
    "tests/sweep/test_sweeper.py",
    "tests/sweep/test_plan.py",
    "tests/engine/test_train.py",
    "tests/tasks/test_video.py",
    "tests/tasks/test_detection.py",
    "tests/launch/test_trainer.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Chooses the order, and what is skipped."""
    seed = config.getoption("shuffle")
    if seed is not None:
        keys = random.Random(seed)
        of_files = {path: keys.random() for path in dict.fromkeys(item.path for item in items)}
        of_items = {item: keys.random() for item in items}
        items.sort(key=lambda item: (of_files[item.path], of_items[item]))
    ranks = {place: rank for rank, place in enumerate(_FIRST)}
    items.sort(key=lambda item: ranks.get(_place_of(item.nodeid), len(ranks)))
    _skip_without_gpu(items)


def pytest_collection_finish() -> None:
    """What has been imported and collected stays to the end: the garbage collector need not look through it again."""
    gc.collect()
    gc.freeze()


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


_NO_GPU = "no GPU that torch can use"
