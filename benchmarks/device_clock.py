"""How long a call takes on a device, how much memory, and how fast the device copies; a CPU has the same functions."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

CACHE = 512 << 20  # bytes: several times an H100's L2
SMALL_CACHE = 1 << 20  # of a CPU, where nothing has to leave a cache

Timer = Callable[[Callable[[], object]], float]  # milliseconds of a call


def device_timer(call: Callable[[], object]) -> float:
    """By the GPU's events. The GPU is kept busy first, so that launching is not measured."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(1_000_000)
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end))


def clock_timer(call: Callable[[], object]) -> float:
    """By the clock: for a CPU."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def timer_of(device: torch.device) -> Timer:
    """What times a call alone: events on a GPU, the clock on a CPU."""
    return device_timer if device.type == "cuda" else clock_timer


def wait_for(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def wall_ms(call: Callable[[], object], device: torch.device) -> float:
    """Milliseconds of a call by the clock, launching and waiting included."""
    wait_for(device)

    def call_and_wait() -> None:
        call()
        wait_for(device)

    return clock_timer(call_and_wait)


def peak_mb(call: Callable[[], object], device: torch.device, *, is_whole: bool = False) -> float | None:
    """MB of the device's memory that a call needs, beside what is there or in whole; None on a CPU."""
    if device.type != "cuda":
        call()
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = 0 if is_whole else torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    return round((torch.cuda.max_memory_allocated(device) - before) / 1e6, 1)


def cache_of(device: torch.device) -> torch.Tensor:
    """A tensor that, once written, has pushed all else out of a GPU's cache."""
    num_bytes = CACHE if device.type == "cuda" else SMALL_CACHE
    return torch.empty(num_bytes, dtype=torch.uint8, device=device)


def copy_speeds(device: torch.device, repeats: int) -> list[float]:
    """GB/s of a copy from the device's memory to the device's memory, read and written bytes added, by repeat."""
    source, target, timer = cache_of(device), cache_of(device), timer_of(device)
    source.zero_()
    times = [timer(lambda: target.copy_(source)) for _ in range(repeats + 1)][1:]
    return [2 * source.numel() / ms / 1e6 for ms in times]
