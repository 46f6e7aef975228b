"""Between loader processes and the run's: tensors in memory that no file system holds, semaphores and a flag.

Torch lays them into /dev/shm, to which a container gives 64 MB: two steps of the paper's are 75 MB. Where it is full,
whoever waits for a tensor waits for good. Anonymous memory (memfd) has no such limit, and costs less.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.context import ForkContext
from multiprocessing.reduction import DupFd, ForkingPickler
from typing import Any

import numpy.typing as npt
import torch

_FEW_BYTES = 65536  # that a pipe takes as quickly


def check_semaphores(num: int) -> None:
    """Tries semaphores, with which processes wait for each other: 4 kB of /dev/shm each.

    Args:
        num: that loader processes need.

    Raises:
        ValueError: there are too few.
    """
    try:
        _ = [multiprocessing.Lock() for _ in range(num)]
    except OSError as error:
        raise ValueError(
            f"loader processes need {num} semaphores, {num * mmap.PAGESIZE // 1024} kB of /dev/shm: "
            f"{error.strerror or error}; make it larger or writable (docker run --shm-size=64m), or do without such "
            "processes: data.loader_workers=0, in gnexp data check processes=0"
        ) from None


class LoaderContext(ForkContext):
    """Starts loader processes as Python does by default on Linux, with events without a lock.

    Torch tells loaders to end by an event, and each checks it after every chunk. Python's has a lock: killed or
    stopped while it checks, a loader would keep it, and the run would wait for that lock for good.
    """

    def Event(self) -> Any:
        return _Flag()


class _Flag:
    """An event that is set once and not waited for: a byte that forked processes share."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def is_set(self) -> bool:
        return self._byte[0] != 0

    def set(self) -> None:
        self._byte[0] = 1


def hand_over_in_memory() -> None:
    """From now on, in this process, tensors are sent so to other processes; called by each loader process."""
    ForkingPickler.register(torch.Tensor, _reduce)


def _reduce(tensor: torch.Tensor) -> tuple[Callable[..., torch.Tensor], tuple[Any, ...]]:
    """What a pickle holds in a tensor's place."""
    array = tensor.detach().contiguous().numpy()
    if array.nbytes > _FEW_BYTES and hasattr(os, "memfd_create"):
        try:
            file = os.memfd_create("gnexp")
        except OSError:  # forbidden here
            return _wrap, (array,)
        try:
            left = array.data.cast("B")
            while left:
                left = left[os.write(file, left) :]
            return _receive, (DupFd(file), tensor.shape, tensor.dtype)
        finally:
            os.close(file)  # DupFd has one of its own
    return _wrap, (array,)


def _wrap(array: npt.NDArray[Any]) -> torch.Tensor:
    """As torch.from_numpy, whose module a pickle would search for at length."""
    return torch.from_numpy(array)


def _receive(sent: Any, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    file = sent.detach()
    try:
        memory = mmap.mmap(file, 0)
    finally:
        os.close(file)
    return torch.frombuffer(memory, dtype=dtype).reshape(shape)
