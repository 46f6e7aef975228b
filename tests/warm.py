"""One process that has imported torch, and the children that are forked from it: they save the seconds of an import.

For tests that need a process with torch and are not about how it starts. Each process of pytest has its own server.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SERVER = multiprocessing.get_context("forkserver")
# With what torch and TensorBoard import when they are first used.
SERVER.set_forkserver_preload(
    ["gnexp.worker", "gnexp.experiments.run", "torch._dynamo", "tensorboard.compat.proto.event_pb2"]
)


class Worker:
    """`python -m gnexp.worker WORDS` with the environment of this moment, and what it says.

    Args:
        words: the job and its arguments.
        folder: what is written to stdout and stderr is kept there.
        prepare: called in the child first; of a module, since it is sent there.
    """

    def __init__(self, words: list[str], folder: Path, prepare: Callable[[], None] | None = None) -> None:
        self._screens = [tempfile.mkstemp(dir=folder, prefix=name)[1] for name in ("stdout-", "stderr-")]
        told = (words, self._screens, dict(os.environ), prepare)
        self._process = SERVER.Process(target=_become_worker, args=told)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @property
    def said(self) -> tuple[str, list[str]]:
        """What it has written to stdout so far, and the lines on stderr."""
        out, errors = (Path(screen).read_text(encoding="utf-8") for screen in self._screens)
        return out, errors.splitlines()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = 100) -> int:
        """Its exit code, negative for a signal."""
        self._process.join(timeout)
        try:
            assert self._process.exitcode is not None, f"process {self.pid} goes on after {timeout} s"
        finally:
            self._process.kill()
        return self._process.exitcode


def _become_worker(
    words: list[str], screens: list[str], environment: dict[str, str], prepare: Callable[[], None] | None
) -> None:
    _forget_the_server()
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(screens, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    if prepare is not None:
        prepare()
    from gnexp import worker

    sys.argv = ["gnexp.worker", *words]
    sys.exit(worker.main())


def run_group(size: int, function: Callable[..., None], *arguments: Any) -> None:
    """Calls a function of a module in a group of processes that are told of each other as by torchrun."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    group = [
        SERVER.Process(target=_become_rank, args=(rank, told, function, arguments)) for rank in range(size)
    ]
    for process in group:
        process.start()
    try:
        for process in group:
            process.join(120)
        assert [process.exitcode for process in group] == [0] * size
    finally:
        for process in group:
            process.kill()


def _become_rank(
    rank: int, told: dict[str, str], function: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    _forget_the_server()
    os.environ.update(told, RANK=str(rank), LOCAL_RANK=str(rank))
    function(*arguments)


def _forget_the_server() -> None:
    """Loader processes are forked, as in a process that was started by itself."""
    multiprocessing.set_start_method("fork", force=True)
