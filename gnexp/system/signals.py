"""What a process of ours does when it is asked to stop, or when its parent has gone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

from gnexp.system.exit_codes import exit_code_of

# What asks a run to stop: Ctrl-C, a scheduler's preemption (Slurm, submitit), a terminal that closes.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_PR_SET_PDEATHSIG = 1
TWICE_SECONDS = 0.5  # a signal to a whole group comes directly and once more through the parent


def stopping() -> tuple[signal.Signals, ...]:
    """STOPPING, without a hang-up that whoever started us wants ignored: nohup's run stays when its terminal goes.

    A shell also has Ctrl-C ignored in what it starts in the background; that is not obeyed, a run can always be ended.
    """
    is_held = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return tuple(number for number in STOPPING if not (is_held and number == signal.SIGHUP))


class StopRequest(BaseException):
    """A signal asks to stop, and there is nothing to finish first.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def leave(number: int, frame: FrameType | None) -> None:
    """Handles a signal where nothing has been begun: one line, and out."""
    with contextlib.suppress(OSError):  # of a terminal that is gone
        os.write(2, b"gnexp: stopped before anything was begun\n")
    os._exit(exit_code_of(number))


class Stopper:
    """Takes the signals of stopping(): raises StopRequest at once, or, while deferred, takes note of the first.

    A second Ctrl-C is obeyed at once in any case.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._since = 0.0
        self._is_deferred = False
        self._leave: Callable[[int], int] | None = None

    def install(self) -> None:
        """From now on; also where a shell had SIGINT ignored for what it started in the background."""
        for number in stopping():
            signal.signal(number, self._take)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, someone looks at `received` now and then and leaves in order; an error on its way out, too."""
        self._is_deferred = True
        yield
        self._is_deferred = False

    @contextlib.contextmanager
    def leaving(self, tell: Callable[[int], int]) -> Iterator[None]:
        """Inside, a signal ends the process there and then: an import may swallow an exception, or make it another.

        Args:
            tell: says that it was asked to stop, and returns the exit code.
        """
        self._leave = tell
        yield
        self._leave = None

    def settle(self) -> None:
        """From now on only takes note: all that is left is to say how it ended, and to end."""
        self._is_deferred = True

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._leave is not None:
            os._exit(self._leave(number))
        now = time.monotonic()
        is_second = number == signal.SIGINT == self.received and now - self._since > TWICE_SECONDS
        if self.received is None:
            self.received, self._since = number, now
        if is_second or not self._is_deferred:
            raise StopRequest(number)


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Asks Linux for a signal when this process's parent ends, so that no process is left to write on alone."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)


def become_loader(index: int) -> None:
    """Makes a process a run's loader process, which ends with the run's process and says nothing of that.

    It leaves the run's process group: it would die of a signal to the group before the run could save. And where the
    run's process is gone while it fetches the memory of a chunk, which is how a killed run ends, there is no traceback.
    It is killed with its parent: one that waits for room in a pipe, whose other end its siblings hold, never looks.
    """
    os.setpgid(0, 0)
    end_with_parent(signal.SIGKILL)
    tell = sys.excepthook

    def tell_own(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, (ConnectionError, EOFError)):
            tell(kind, error, trace)

    sys.excepthook = tell_own
