"""Says, as one JSON line, on what the parts run: `python benchmarks/gpu/machine.py cuda`."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch

from gnexp.system.commit import commit


def describe(kind: str) -> dict[str, object]:
    """Names and versions, and the commit of the code.

    Raises:
        SystemExit: there is no such device.
    """
    if kind == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "make gpu needs a GPU that torch can use, and there is none; "
            "`make gpu-rehearsal` runs the same parts on a CPU"
        )
    found: dict[str, object] = {
        "kind": kind,
        "name": "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": _version("triton"),
        **commit(),
    }
    if kind == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "name": properties.name,
            "memory_gb": round(properties.total_memory / 1e9, 1),
            "multiprocessors": properties.multi_processor_count,
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(json.dumps(describe(sys.argv[1])))
