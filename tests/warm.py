"""One process that has imported torch, and the children that are forked from it: they save the seconds of an import.

For tests that need a process with torch and are not about how it starts. Each process of pytest has its own server.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

from gnexp.system.hardware import num_cores

SERVER = multiprocessing.get_context("forkserver")
# With what torch and TensorBoard import when they are first used.
SERVER.set_forkserver_preload(
    [
        "tests.garments",
        "gnexp.launch.trainer",
        "gnexp.experiments.run",
        "torch._dynamo",
        "tensorboard.compat.proto.event_pb2",
    ]
)


def crowding() -> float:
    """Times as long as on a quiet machine that something takes at most: processes that want a core, for each core."""
    return max(1.0, os.getloadavg()[0] / num_cores())


def _process(target: Callable[..., None], arguments: tuple[Any, ...]) -> Any:
    """A child, started."""
    with contextlib.chdir(Path(__file__).parents[1]):  # where the server finds what it is to import
        forkserver.ensure_running()
    process = SERVER.Process(target=target, args=arguments)
    process.start()
    assert process.pid is not None
    return process


class Trainer:
    """`python -m gnexp.launch.trainer WORDS` with the environment of this moment, and what it says.

    Args:
        words: the job and its arguments.
        folder: what is written to stdout and stderr is kept there.
        prepare: called in the child first; of a module, since it is sent there.
    """

    def __init__(self, words: list[str], folder: Path, prepare: Callable[[], None] | None = None) -> None:
        self._screens = [tempfile.mkstemp(dir=folder, prefix=name)[1] for name in ("stdout-", "stderr-")]
        told = (words, self._screens, dict(os.environ), prepare, os.getcwd())
        self._process = _process(_become_trainer, told)
        self.pid: int = self._process.pid

    @property
    def is_alive(self) -> bool:
        return bool(self._process.is_alive())

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
        return int(self._process.exitcode)


class Popen:
    """subprocess.Popen of what the command starts: `gnexp.launch.trainer` is forked, all else is started really.

    Only what gnexp asks of it is there.
    """

    def __new__(cls, command: Sequence[str], **keywords: Any) -> Any:
        if "gnexp.launch.trainer" not in command:
            return _REAL(command, **keywords)
        return super().__new__(cls)

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: dict[str, str],
        process_group: int,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
    ) -> None:
        assert process_group == 0
        self._read: list[IO[bytes] | None] = []
        handed, pipes = [], []
        for number, screen in ((1, stdout), (2, stderr)):
            if screen == subprocess.PIPE:
                read, write = os.pipe()
                pipes.append(write)
                self._read.append(os.fdopen(read, "rb"))
            else:
                write = number if screen is None else screen if isinstance(screen, int) else screen.fileno()
                self._read.append(None)
            handed.append(_Handed(write))
        words = command[list(command).index("gnexp.launch.trainer") + 1 :]
        told = (list(words), handed, env, _lead_a_group, os.getcwd())
        self._process = _process(_become_trainer, told)
        for write in pipes:
            os.close(write)
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def send_signal(self, number: int) -> None:
        if self._process.is_alive():
            os.kill(self.pid, number)

    def communicate(self) -> tuple[bytes | None, bytes | None]:
        """What came through pipes, once it has ended."""
        with ThreadPoolExecutor(2) as readers:
            out, errors = readers.map(_read_all, self._read)
        self._process.join()
        return out, errors


_REAL = subprocess.Popen


def _read_all(pipe: IO[bytes] | None) -> bytes | None:
    if pipe is None:
        return None
    with pipe:
        return pipe.read()


class _Handed:
    """A file descriptor on its way to a child."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _take, (DupFd(self._number),)


def _take(handed: Any) -> int:
    return int(handed.detach())


def _lead_a_group() -> None:
    os.setpgid(0, 0)


def _become_trainer(
    words: list[str],
    screens: list[str] | list[int],
    environment: dict[str, str],
    prepare: Callable[[], None] | None,
    folder: str,
) -> None:
    _forget_the_server()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, screen in enumerate(screens, start=1):
        os.dup2(screen if isinstance(screen, int) else os.open(screen, os.O_WRONLY | os.O_APPEND), number)
    # New ones: the server's may be of files, which can seek, and these of pipes, which cannot.
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", buffering=1, encoding="utf-8", closefd=False) for number in (1, 2)
    )
    if prepare is not None:
        prepare()
    from gnexp.launch import trainer

    sys.argv = ["gnexp.launch.trainer", *words]
    sys.exit(trainer.main())


def run_group(size: int, function: Callable[..., None], *arguments: Any) -> None:
    """Calls a function of a module in a group of processes that are told of each other as by torchrun."""
    with told_of_each_other(size) as told:
        group = [_process(_become_rank, (rank, told, function, arguments)) for rank in range(size)]
        try:
            for process in group:
                process.join(120 * crowding())
            assert [process.exitcode for process in group] == [0] * size
        finally:
            for process in group:
                process.kill()


@contextlib.contextmanager
def told_of_each_other(size: int) -> Iterator[dict[str, str]]:
    """What torchrun puts into the environment of a group's processes, but for their ranks.

    As torchrun's, the store by which they find each other is here, at a port that stays taken: one that is only found
    to be free may be another program's when the first process listens there, and the others would wait for that.
    """
    from torch.distributed import TCPStore

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    yield {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "WORLD_SIZE": str(size),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }


def _become_rank(
    rank: int, told: dict[str, str], function: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    _forget_the_server()
    os.environ.update(told, RANK=str(rank), LOCAL_RANK=str(rank))
    function(*arguments)


def _forget_the_server() -> None:
    """Loader processes are forked, as in a process that was started by itself."""
    multiprocessing.set_start_method("fork", force=True)


def without_digest_notes(err: str) -> str:
    """What a command says on stderr, but that generated data of other settings have no sha256 to compare."""
    return re.sub(r"note: the sha256 of [^\n]*\n", "", err)
