"""Where a run computes, and what that machine is."""

from __future__ import annotations

import os
import platform
import socket
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from gnexp.config import RunConfig
from gnexp.config.fields import value_of
from gnexp.config.kinds import packages_of
from gnexp.ops.group_norm import Impl, choose_impl


def choose_device(name: str) -> torch.device:
    """auto: a GPU, or the CPU where there is none. Of several processes on a machine each gets a GPU of its own.

    Raises:
        ValueError: a GPU was asked for and there is none, or there are fewer than processes.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ValueError(f"device={name} needs a GPU that torch can use, and there is none; use device=cpu")
    if ":" in name and "LOCAL_RANK" in os.environ:
        raise ValueError(f"device={name} is one GPU, and several processes need one each; use device=cuda")
    # srun --gpus-per-task=1 shows each of its processes one GPU, which is then number 0.
    is_srun = "SLURM_PROCID" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ
    is_shown_one = is_srun and torch.cuda.device_count() == 1
    index = 0 if is_shown_one else int(os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        raise ValueError(
            f"each process on a machine needs a GPU of its own, and there are {torch.cuda.device_count()}; "
            "lower processes, with workers_per_pass if memory is short"
        )
    device = torch.device(name if ":" in name else f"cuda:{index}")
    torch.cuda.set_device(device)
    return device


def memory_format(run: RunConfig, device: torch.device) -> torch.memory_format:
    """The layout that a run computes in; auto: channels_last where half precision on a GPU wants it.

    A GPU's half-precision convolutions are made for it; virtual workers of batch normalization are not.
    """
    name = run.memory_format
    if name == "auto":
        is_folded = (
            any(norm.statistics_over == "worker" for norm in run.norms)
            and (run.workers_per_pass or run.virtual_workers) > 1
        )
        name = (
            "channels_last"
            if device.type == "cuda" and run.precision in ("bf16", "fp16") and not is_folded
            else "contiguous"
        )
    if name == "contiguous":
        return torch.contiguous_format
    # Torch has a name of its own for it where there are frames, and takes no other.
    return torch.channels_last_3d if run.model.has_frames else torch.channels_last


def norm_impl(run: RunConfig, device: torch.device) -> Impl | None:
    """What computes group normalization and why; None for other norms.

    Raises:
        ValueError: norm.impl asks for what is unsupported here.
    """
    asked = next((value_of(norm, "impl") for norm in run.norms if norm.takes_groups), None)
    return None if asked is None else choose_impl(asked, device.type)


def set_float32(run: RunConfig) -> None:
    """Makes float32 mean float32 on a GPU too, where torch lets convolutions drop 13 bits, unless precision=tf32."""
    is_tf32 = run.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = is_tf32


def describe(run: RunConfig, device: torch.device, commit: dict[str, Any]) -> dict[str, Any]:
    """One segment's entry in env.json: versions, host, device and threads beside the commit."""
    impl = norm_impl(run, device)
    return {
        **commit,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{package: _version_of(package) for package in ("torchvision", "timm")},
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "memory_format": str(memory_format(run, device)).removeprefix("torch."),
        "norm_packages": packages_of(run.norms),
        "norm_impl": impl and f"{impl.name} ({impl.reason})",
        "processes": run.processes,
        "workers_per_pass": run.workers_per_pass,
        "compile": run.compile,
    }


def _version_of(package: str) -> str | None:
    """Read without importing it, which takes a second; most classifiers do without."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
