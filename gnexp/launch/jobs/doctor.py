"""What only a process with torch can tell of this machine: JSON on one line."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from gnexp.config import RunConfig
from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.engine.device import choose_device, describe
from gnexp.system.commit import commit
from gnexp.system.exit_codes import EXIT_DONE

_DRIVER = Path("/proc/driver/nvidia/version")


def main(words: list[str]) -> int:
    """Prints it: a run's entry of env.json, the GPUs, the backends, and what is wrong with the embedded images."""
    try:
        load_fashion_mnist()
        embedded = ""
    except ValueError as error:
        embedded = str(error)
    found: dict[str, Any] = {
        **describe(RunConfig(), choose_device("auto"), commit()),
        "python": platform.python_version(),
        "gpus": [_gpu(index) for index in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "driver": _driver(),
        "gloo": dist.is_available() and dist.is_gloo_available(),
        "nccl": _nccl(),
        "embedded": embedded,
    }
    print(json.dumps(found))
    return EXIT_DONE


def _gpu(index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    return {"name": properties.name, "gib": properties.total_memory / 2**30}


def _driver() -> str | None:
    try:
        version = re.search(r"\b\d+\.\d+(\.\d+)?\b", _DRIVER.read_text(encoding="utf-8"))
    except OSError:
        return None
    return version[0] if version else None


def _nccl() -> str | None:
    if not (torch.cuda.is_available() and dist.is_available() and dist.is_nccl_available()):
        return None
    return ".".join(map(str, torch.cuda.nccl.version()))  # type: ignore[no-untyped-call]
