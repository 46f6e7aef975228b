"""The processes that share a run: one alone, or a group that torchrun or srun started."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from gnexp.config import RunConfig
from gnexp.data.loader import Share
from gnexp.nn.peers import Peers

# What gloo says of a process that has ended; torch has no exception of its own for it.
_LOST = ("connection closed", "connection reset", "broken pipe", "connection refused", "socket")
_LATE = ("timed out", "timeout")
_OF_THE_GROUP = ("gloo", "nccl", "pair closure")  # what gloo closes when time is out does not always name it
_JOIN_SECONDS = 0.02  # between two looks whether all have come
_NOTICE_SECONDS = 1.0  # that the others, whose patience ends with ours, take to say so


_WHOLE = Share()


class PeerLostError(RuntimeError):
    """Another process of the run has ended: what ended it is told by that process, or by the one that watches."""


class PeerLateError(RuntimeError):
    """Another process of the run has not answered for run.peer_timeout seconds."""


class Processes:
    """This process's place in the group, and what the group does together. Every method is called by all of them.

    Small things travel over gloo in the processors' memory even where gradients travel over NCCL: a flag that is
    looked at in each step must not wait for a GPU.

    Args:
        share: this process's rank and the world size.
        store: torch.distributed's, by which the processes find out which one is late; None for one process alone.
        timeout: seconds that a process waits for the others.
    """

    def __init__(self, share: Share = _WHOLE, store: Any = None, timeout: float = 300.0) -> None:
        self.share = share
        self.rank, self.world_size = share.rank, share.world_size
        self.is_first = share.rank == 0
        self._store, self._timeout = store, timeout
        self._group: dist.ProcessGroup | None = None
        if store is not None:
            group = dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout))
            self._group = cast(dist.ProcessGroup, group)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value added over the processes, in float64."""
        if self._group is None:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        with self._watched():
            dist.all_reduce(total, group=self._group)
        return cast(list[float], total.tolist())

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return self.sum([float(flag)])[0] > 0

    def add_up(self, tensor: torch.Tensor) -> None:
        """Adds a tensor over the processes, in place."""
        if self._group is None:
            return
        total = tensor.cpu()
        with self._watched():
            dist.all_reduce(total, group=self._group)
        tensor.copy_(total)

    @property
    def peers(self) -> Peers:
        """The processes as a norm sees them whose statistics go over all workers."""
        return Peers(self.rank, self.world_size, self._add_up_in_place)

    def _add_up_in_place(self, tensor: torch.Tensor) -> None:
        """Adds a tensor over the processes where it is: on a GPU over NCCL, in one queue with the gradients."""
        if self._group is None:
            return
        with self._watched():
            dist.all_reduce(tensor, group=self._group if tensor.device.type == "cpu" else None)

    def gather_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Every process's rows, (V, *) each -> (V * world_size, *), in the order of the processes."""
        if self._group is None:
            return rows
        own = rows.detach().cpu().contiguous()
        parts = [torch.empty_like(own) for _ in range(self.world_size)]
        with self._watched():
            dist.all_gather(parts, own, group=self._group)
        return torch.cat(parts).to(rows.device)

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, in the order of the processes."""
        if self._group is None:
            return [value]
        values: list[Any] = [None] * self.world_size
        with self._watched():
            dist.all_gather_object(values, value, group=self._group)
        return values

    def from_first(self, value: Any) -> Any:
        """The first process's value; the others' is not looked at."""
        if self._group is None:
            return value
        values = [value]
        with self._watched():
            dist.broadcast_object_list(values, src=0, group=self._group)
        return values[0]

    def replicate(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model as a training step calls it: its gradients are averaged over the processes.

        Running statistics are each process's own workers', so buffers are not sent around.
        """
        if self._group is None:
            return model
        with self._watched(), warnings.catch_warnings():
            # torch 2.14 names a successor, and says that there is none yet for buffers that are each process's own.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return DistributedDataParallel(
                model,
                device_ids=[device] if device.type == "cuda" else None,
                broadcast_buffers=False,
                gradient_as_bucket_view=True,
            )

    @contextlib.contextmanager
    def accumulating(self, replica: nn.Module, is_last: bool) -> Iterator[None]:
        """One forward and backward pass of a step; the gradients travel with the last."""
        wrapped = getattr(replica, "_orig_mod", replica)  # of a compiled one
        local: Any = contextlib.nullcontext()
        if isinstance(wrapped, DistributedDataParallel) and not is_last:
            local = wrapped.no_sync()
        with local, self._watched():
            yield

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Tells the group's own errors from others.

        Raises:
            PeerLostError: a process has ended.
            PeerLateError: a process does not answer; names it.
        """
        try:
            yield
        except RuntimeError as error:
            text = str(error).lower()
            is_groups = isinstance(error, dist.DistError) or any(word in text for word in _OF_THE_GROUP)
            if self._group is None or not is_groups:
                raise
            self._say_waiting()
            if any(word in text for word in _LATE):
                raise PeerLateError(self._who_is_late()) from error
            if isinstance(error, dist.DistError) or any(word in text for word in _LOST):
                raise PeerLostError("another process of this run has ended") from error
            raise

    def _say_waiting(self) -> None:
        """Tells the others that this process has noticed, so it is not the one that hangs."""
        if self._store is not None:
            with contextlib.suppress(RuntimeError):
                self._store.set(f"gnexp/waits/{self.rank}", "")

    def _who_is_late(self) -> str:
        assert self._store is not None, "one process waits for nobody"
        time.sleep(_NOTICE_SECONDS)
        late = [0]  # where nothing can be asked: the first process answers
        with contextlib.suppress(RuntimeError):
            late = [rank for rank in range(self.world_size) if not self._store.check([f"gnexp/waits/{rank}"])]
        names = ", ".join(map(str, late)) or "another"
        return (
            f"process {names} has not answered for {self._timeout:g} s (peer_timeout); it hangs, or its machine "
            "is much slower; the same command goes on from the last checkpoint"
        )


ALONE = Processes()


def rank() -> int:
    """This process's place among those that torchrun or srun started; 0 for one alone."""
    return int(os.environ.get("RANK", "0"))


@contextlib.contextmanager
def joined(run: RunConfig, device: torch.device) -> Iterator[Processes]:
    """The run's group while it lasts, joined as torchrun's or srun's environment says.

    Raises:
        ValueError: the environment's group is not of run.processes.
        PeerLateError: not all have come within run.peer_timeout seconds.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size != run.processes:
        raise ValueError(
            f"processes={run.processes} must be the number that torchrun or srun started, which is {world_size}; "
            "leave processes out there, or start gnexp alone"
        )
    if world_size == 1:
        yield ALONE
        return
    timeout = timedelta(seconds=run.peer_timeout)
    store, _, _ = next(rendezvous("env://", timeout=timeout))
    store.set_timeout(timeout)
    _wait_for_all(store, world_size, run.peer_timeout)
    is_cuda = device.type == "cuda"
    dist.init_process_group(
        "nccl" if is_cuda else "gloo",
        store=store,
        rank=rank(),
        world_size=world_size,
        timeout=timeout,
        device_id=device if is_cuda else None,
    )
    yield Processes(Share(rank(), world_size), store, run.peer_timeout)
    # Not while an error is on its way: NCCL would wait for processes that are gone.
    with contextlib.suppress(RuntimeError):
        dist.destroy_process_group()


def _wait_for_all(store: Any, world_size: int, timeout: float) -> None:
    """Waits until every process has come this far; where torch waits for them itself no signal gets through to us."""
    store.set(f"gnexp/joins/{rank()}", "")
    deadline = time.monotonic() + timeout
    while late := [other for other in range(world_size) if not store.check([f"gnexp/joins/{other}"])]:
        if time.monotonic() > deadline:
            raise PeerLateError(
                f"process {', '.join(map(str, late))} has not come within {timeout:g} s (peer_timeout)"
            )
        time.sleep(_JOIN_SECONDS)
