"""What this machine grants a process, found without torch: cores, threads, a GPU."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")


def num_cores() -> int:
    """Cores that this process may use: its affinity, and the share that a container grants."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_CPU.read_text(encoding="utf-8").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no Linux container, or "max": no limit
        return cores


def default_threads() -> int:
    """Threads of a run that names none: OMP_NUM_THREADS where the user has set it, else every core."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else num_cores()


def will_use_cuda(device: str) -> bool:
    """Whether a device setting leads to a CUDA device, judged without importing torch."""
    if device == "auto":
        return os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1") and Path("/dev/nvidiactl").exists()
    return device.startswith("cuda")
