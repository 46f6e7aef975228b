"""Chunks of a step, decoded by loader processes or, where there are none, here."""

from __future__ import annotations

import contextlib
import multiprocessing
import shlex
import threading
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from gnexp.config import DataConfig
from gnexp.data.dataset import Indices
from gnexp.data.handover import LoaderContext, check_semaphores, hand_over_in_memory
from gnexp.data.images.decode import UnreadableError
from gnexp.data.remarks import FileWarning, file_warnings
from gnexp.ops import keyed
from gnexp.system.exit_codes import IS_MEMORY_SHORT
from gnexp.system.names import shown
from gnexp.system.signals import become_loader

CHUNK_SIZE = 32  # images that a loader process hands over at once: 5 MB of shared memory, whatever the batch
Draws = npt.NDArray[np.float64]  # of one image or clip, uniform in [0, 1)
_SEMAPHORES = 3  # of a queue; torch has one a loader process, and one for all
_P = TypeVar("_P")


class Chunk(NamedTuple):
    """Some images or clips of a step, before color.

    An error travels as its line: an exception would arrive with the loader process's traceback in it.
    """

    pixels: torch.Tensor  # (n, *shape) uint8
    labels: npt.NDArray[np.int64]  # (n,)
    skipped: dict[str, str]  # files that others stand in for: path -> reason
    error: str | None = None  # what ends the run; the pixels are then not to be used


class Decoder(TorchDataset[Chunk]):
    """Makes chunks of sample indices, each image or clip a function of (seed, epoch, index) alone.

    Args:
        decode: an image's or a clip's pixels, from its index and its draws; raises UnreadableError.
        shape: of these pixels.
        labels: of the split, (N,).
        config: its on_error and max_skipped are followed.
        key: seed and epoch of training's draws; None = evaluation, which has none.
        num_draws: of each image or clip, uniform in [0, 1).
        what: an image or a video, for errors.
    """

    def __init__(
        self,
        decode: Callable[[int, Draws | None], torch.Tensor],
        shape: Sequence[int],
        labels: npt.NDArray[np.int64],
        config: DataConfig,
        key: tuple[int, int] | None,
        num_draws: int,
        what: str = "image",
    ) -> None:
        self._decode, self._shape, self._labels, self._config = decode, tuple(shape), labels, config
        self._key, self._num_draws, self._what = key, num_draws, what

    def __getitem__(self, indices: Indices) -> Chunk:
        try:
            return self._make(indices)
        except OSError as error:
            return Chunk(torch.empty(0), np.empty(0, np.int64), {}, fault_of_the_machine(error, self._what))

    def _make(self, indices: Indices) -> Chunk:
        pixels = torch.empty((len(indices), *self._shape), dtype=torch.uint8)
        chunk = Chunk(pixels, self._labels[indices], {})
        draws = None
        if self._key is not None:
            seed, epoch = self._key
            draws = keyed.uniform(seed, "augment", epoch, indices, self._num_draws)
        for i, index in enumerate(indices):
            drawn = None if draws is None else draws[i]
            try:
                chunk.pixels[i] = self._decode(index, drawn)
            except UnreadableError as error:
                if not self._config.skips_errors:
                    return chunk._replace(error=str(error))
                if drawn is None:
                    return chunk._replace(
                        error=f"{error} (data.on_error=skip is for training: without it the score would be another)"
                    )
                chunk.skipped[error.path] = error.reason
                if not self._replace(chunk, i, index, drawn):
                    return chunk._replace(
                        error=f"{error}; nor could any {self._what} that was to stand in for it"
                    )
        return chunk

    def _replace(self, chunk: Chunk, i: int, index: int, drawn: Draws) -> bool:
        """Puts another file, with its own label, in the place of an unreadable one; returns whether one was found.

        Which one follows from the index alone: the same in every epoch, for every seed and number of processes.
        """
        for bits in keyed.bits(0, "replacement", 0, [index], 1 + self._config.most_skipped)[0]:
            other = int(bits % np.uint64(len(self._labels)))
            try:
                chunk.pixels[i] = self._decode(other, drawn)
            except UnreadableError as error:
                chunk.skipped[error.path] = error.reason
            else:
                chunk.labels[i] = self._labels[other]
                return True
        return False


def fault_of_the_machine(error: OSError, what: str) -> str:
    """The line of a file that could not be read and is not to blame."""
    return (
        f"cannot read {shown(error.filename)}: {error.strerror}, which is no fault of the {what}; mend that, "
        "and the same command goes on"
    )


def note_skipped(new: Mapping[str, str], skipped: dict[str, str], config: DataConfig, what: str) -> None:
    """Adds what was skipped to what was before.

    Raises:
        ValueError: more than data.max_skipped in all.
    """
    skipped.update(new)
    if len(skipped) > config.most_skipped:
        path, reason = next(reversed(skipped.items()))
        most = config.most_skipped
        raise ValueError(
            f"more than data.max_skipped={most} {what} cannot be read, the last {shown(path)}: {reason}; "
            f"mend the folder (gnexp data check {shlex.quote(str(config.folder))}), or raise data.max_skipped"
        )


def load_chunks(
    decoder: TorchDataset[_P],
    steps: Sequence[Indices],
    *,
    num_processes: int,
    timeout: float,
    is_pinned: bool,
    chunk_size: int = CHUNK_SIZE,
) -> Generator[list[_P], None, None]:
    """The chunks of each step, in order; what was remarked on their files is warned of here, as FileWarning.

    Args:
        decoder: what makes a chunk of indices.
        steps: sample indices of each step.
        num_processes: that decode; 0 = this one does.
        timeout: seconds to wait for a chunk.
        is_pinned: whether the pixels are put where a GPU can fetch them by itself.
        chunk_size: of indices at most.

    Raises:
        ValueError: this machine cannot have loader processes.
        RuntimeError: a loader process died, or none answered in time.
    """
    cut = [[step[i : i + chunk_size] for i in range(0, len(step), chunk_size)] for step in steps]
    if num_processes:
        check_semaphores(_SEMAPHORES * (num_processes + 1))
    others = set(multiprocessing.active_children())
    loader = DataLoader(
        _Heard(decoder),
        batch_size=None,  # a chunk is made whole by the decoder
        sampler=[chunk for step in cut for chunk in step],
        num_workers=num_processes,
        multiprocessing_context=LoaderContext() if num_processes else None,
        # A step ahead: with two chunks each, torch's default, processes idle while the device computes a longer one.
        prefetch_factor=max(2, -(-max(map(len, cut), default=0) // num_processes)) if num_processes else None,
        pin_memory=is_pinned,
        generator=torch.Generator(),  # else the loader draws from the global one
        worker_init_fn=_begin,
    )
    chunks = iter(loader)
    processes = set(multiprocessing.active_children()) - others
    watchdog = _Watchdog(processes, timeout)
    try:
        for step in cut:
            done = []
            for _ in step:
                with watchdog:
                    chunk, remarks = next(chunks)
                done.append(chunk)
                for path, reason in remarks:
                    warnings.warn(FileWarning(path, reason), stacklevel=2)
            yield done
    except Exception as error:
        _end(processes)
        said = str(error).splitlines()[0] if str(error) else ""
        if watchdog.has_barked:
            raise RuntimeError(
                f"no loader process answered for {timeout:g} s: is the folder of the data gone or slow? "
                "Mend that, or raise data.loader_timeout"
            ) from None
        if isinstance(error, RuntimeError) and said.startswith("DataLoader "):
            raise RuntimeError(
                f"a loader process died ({said.strip()}): {IS_MEMORY_SHORT} Give fewer data.loader_workers"
            ) from None
        raise  # a defect of ours, with the loader process's traceback
    finally:
        del chunks  # stops the processes now; left to an error's traceback, they would take 5 s
        _end(processes)


class _Heard(TorchDataset[tuple[_P, tuple[tuple[str, str], ...]]]):
    """The chunks of a decoder, each with the files that something was remarked on, and what."""

    def __init__(self, decoder: TorchDataset[_P]) -> None:
        self._decoder = decoder

    def __getitem__(self, indices: Indices) -> tuple[_P, tuple[tuple[str, str], ...]]:
        remarks: list[tuple[str, str]] = []
        with file_warnings(lambda warning: remarks.append((warning.path, warning.reason))):
            chunk = self._decoder[indices]
        return chunk, tuple(remarks)


def _begin(worker: int) -> None:
    """What a loader process does first."""
    become_loader(worker)
    hand_over_in_memory()


class _Watchdog:
    """Kills loader processes while a chunk takes too long, which ends whatever this process waits in.

    The loader's own timeout does not see all of it: a tensor's memory is fetched from the process that made it, through
    a socket, after its chunk has arrived.
    """

    def __init__(self, processes: set[multiprocessing.process.BaseProcess], timeout: float) -> None:
        self._processes, self._timeout = processes, timeout
        self.has_barked = False

    def __enter__(self) -> None:
        self._timer = threading.Timer(self._timeout, self._bark)
        self._timer.daemon = True
        if self._processes:
            self._timer.start()

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()

    def _bark(self) -> None:
        self.has_barked = True
        for process in self._processes:
            process.kill()


def _end(processes: set[multiprocessing.process.BaseProcess]) -> None:
    """Ends loader processes that are left, those too that sleep in a system call or were stopped."""
    for process in processes:
        with contextlib.suppress(RuntimeError):  # torch's handler of a child's end raises anew for each
            process.kill()
            process.join()
