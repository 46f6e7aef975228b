"""From loader processes to the device: on a GPU the next step is copied while this one is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch

Loaded = tuple[Sequence[torch.Tensor], torch.Tensor]  # a step's pixels in parts, and its labels
Received = tuple[torch.Tensor, torch.Tensor]


def to_device(steps: Iterable[Loaded], device: torch.device) -> Iterator[Received]:
    """Each step's pixels and labels on the device, in order.

    Args:
        steps: on the host; pinned where the device is a GPU.
        device: a CPU's steps pass through as they are.
    """
    if device.type != "cuda":
        for parts, labels in steps:
            yield _join(parts), labels.to(device)
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: tuple[Received, torch.cuda.Event] | None = None
    for parts, labels in steps:
        with torch.cuda.stream(stream):
            pixels = _join([part.to(device, non_blocking=True) for part in parts])
            copied = pixels, labels.to(device, non_blocking=True)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(stream)
        if waiting is not None:
            yield _receive(*waiting)
        waiting = copied, done
    if waiting is not None:
        yield _receive(*waiting)


def _join(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _receive(tensors: Received, done: torch.cuda.Event) -> Received:
    """Has the device's own stream wait for the copy, and the memory outlive what that stream does with it."""
    own = torch.cuda.current_stream(tensors[0].device)
    own.wait_event(done)
    for tensor in tensors:
        tensor.record_stream(own)
    return tensors
