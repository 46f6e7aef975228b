"""Pieces of a step, decoded by loader processes or, where there are none, here."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from gnexp.config import DataConfig
from gnexp.data.dataset import Indices
from gnexp.data.decode import NUM_CROP_DRAWS, UnreadableImageError, center_crop, random_crop
from gnexp.data.image_files import ImageFiles
from gnexp.ops import keyed
from gnexp.signals import become_loader

DEFAULT_MAX_SKIPPED = 100
PIECE_SIZE = 32  # images that a loader process hands over at once: 5 MB of shared memory, whatever the batch
_P = TypeVar("_P")


class Piece(NamedTuple):
    """Some images of a step, before color.

    An error travels as its line: an exception would arrive with the loader process's traceback in it.
    """

    pixels: torch.Tensor  # (n, 3, image_size, image_size) uint8
    labels: npt.NDArray[np.int64]  # (n,)
    skipped: dict[str, str]  # images that others stand in for: path -> reason
    error: str | None = None  # what ends the run; the pixels are then not to be used


class Decoder(TorchDataset[Piece]):
    """Makes pieces of sample indices, each image a function of (seed, epoch, index) alone.

    Args:
        files: of the split.
        config: its crops, decoder and on_error are followed.
        key: seed and epoch of training's crops; None = evaluation's.
    """

    def __init__(self, files: ImageFiles, config: DataConfig, key: tuple[int, int] | None) -> None:
        self._files, self._config, self._key = files, config, key

    def __getitem__(self, indices: Indices) -> Piece:
        try:
            return self._make(indices)
        except OSError as error:
            message = (
                f"cannot read {error.filename}: {error.strerror}, which is no fault of the image; mend that, "
            )
            return Piece(torch.empty(0), np.empty(0, np.int64), {}, message + "and the same command goes on")

    def _make(self, indices: Indices) -> Piece:
        size = self._config.image_size
        piece = Piece(
            torch.empty((len(indices), 3, size, size), dtype=torch.uint8), self._files.labels[indices], {}
        )
        draws = None
        if self._key is not None:
            seed, epoch = self._key
            draws = keyed.uniform(seed, "augment", epoch, indices, NUM_CROP_DRAWS)
        for i, index in enumerate(indices):
            drawn = None if draws is None else draws[i]
            try:
                piece.pixels[i] = self._decode(index, drawn)
            except UnreadableImageError as error:
                if self._config.on_error != "skip":
                    return piece._replace(error=str(error))
                if drawn is None:
                    return piece._replace(
                        error=f"{error} (data.on_error=skip is for training: without it the score would be another)"
                    )
                piece.skipped[error.path] = error.reason
                if not self._replace(piece, i, index, drawn):
                    return piece._replace(error=f"{error}; nor could any image that was to stand in for it")
        return piece

    def _replace(self, piece: Piece, i: int, index: int, drawn: npt.NDArray[np.float64]) -> bool:
        """Puts another image, with its own label, in the place of an unreadable one; returns whether one was found.

        Which one follows from the index alone: the same in every epoch, for every seed and number of processes.
        """
        most = self._config.max_skipped
        num = 1 + (DEFAULT_MAX_SKIPPED if most is None else most)
        for bits in keyed.bits(0, "replacement", 0, [index], num)[0]:
            other = int(bits % np.uint64(len(self._files.labels)))
            try:
                piece.pixels[i] = self._decode(other, drawn)
            except UnreadableImageError as error:
                piece.skipped[error.path] = error.reason
            else:
                piece.labels[i] = self._files.labels[other]
                return True
        return False

    def _decode(self, index: int, drawn: npt.NDArray[np.float64] | None) -> torch.Tensor:
        config, path = self._config, self._files.path(index)
        assert (
            config.crop_area is not None and config.crop_aspect is not None and config.eval_resize is not None
        )
        is_scaled = config.decoder == "scaled"
        if drawn is None:
            return center_crop(path, config.eval_resize, config.image_size, is_scaled=is_scaled)
        return random_crop(
            path,
            drawn,
            area=config.crop_area,
            aspect=config.crop_aspect,
            flip=config.flip,
            size=config.image_size,
            is_scaled=is_scaled,
        )


def load_pieces(
    decoder: TorchDataset[_P],
    steps: Sequence[Indices],
    *,
    num_processes: int,
    timeout: float,
    is_pinned: bool,
) -> Generator[list[_P], None, None]:
    """The pieces of each step, in order.

    Args:
        decoder: what makes a piece of indices.
        steps: sample indices of each step.
        num_processes: that decode; 0 = this one does.
        timeout: seconds to wait for a piece.
        is_pinned: whether the pixels are put where a GPU can fetch them by itself.

    Raises:
        RuntimeError: a loader process died, or none answered in time.
    """
    cut = [[step[i : i + PIECE_SIZE] for i in range(0, len(step), PIECE_SIZE)] for step in steps]
    others = set(multiprocessing.active_children())
    loader = DataLoader(
        decoder,
        batch_size=None,  # a piece is made whole by the decoder
        sampler=[piece for step in cut for piece in step],
        num_workers=num_processes,
        pin_memory=is_pinned,
        generator=torch.Generator(),  # else the loader draws from the global one
        worker_init_fn=become_loader,
    )
    pieces = iter(loader)
    processes = set(multiprocessing.active_children()) - others
    watchdog = _Watchdog(processes, timeout)
    try:
        for step in cut:
            made = []
            for _ in step:
                with watchdog:
                    made.append(next(pieces))
            yield made
    except Exception as error:
        _end(processes)
        said = str(error).splitlines()[0] if str(error) else ""
        if watchdog.has_barked:
            raise RuntimeError(
                f"no loader process answered for {timeout:g} s: is the folder of the images gone or slow? "
                "Mend that, or raise data.loader_timeout"
            ) from None
        if isinstance(error, RuntimeError) and said.startswith("DataLoader "):
            raise RuntimeError(
                f"a loader process died ({said.strip()}): was memory short? Give fewer data.loader_workers"
            ) from None
        raise  # a defect of ours, with the loader process's traceback
    finally:
        del pieces  # stops the processes now; left to an error's traceback, they would take 5 s
        _end(processes)


class _Watchdog:
    """Kills loader processes while a piece takes too long, which ends whatever this process waits in.

    The loader's own timeout does not see all of it: a tensor's memory is fetched from the process that made it, through
    a socket, after its piece has arrived.
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
