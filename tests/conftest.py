"""Shared by all tests."""

import os
import signal

import pytest

# Before torch is imported: small tensors gain nothing from a second thread, and threads that outnumber the cores spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before Triton is imported: without a GPU its kernels are tested by its interpreter. `make test-gpu` sets it to 0.
os.environ.setdefault("TRITON_INTERPRET", "1")

# A shell that starts the tests in the background has SIGINT ignored, and the processes under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a GPU are skipped without one."""
    items_of_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if items_of_gpu and not _has_gpu():
        for item in items_of_gpu:
            item.add_marker(pytest.mark.skip(reason=_NO_GPU))


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
