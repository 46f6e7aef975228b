"""The machine code of the kernels, compiled without a GPU and held to a golden table (scripts/cubins.py --write)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "cubins.json").read_text(encoding="utf-8"))
ROW_KEYS = ("kernel", "layout", "pixels", "dtype", "sm")


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    """Compiled in a process of its own: Triton's interpreter, once chosen, stays."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "cubins.py"), "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_nothing_spills_nothing_is_atomic_and_memory_is_read_128_bits_wide(table: dict[str, Any]) -> None:
    for row in table["rows"]:
        assert row["spills"] == row["stack"] == row["atomics"] == 0, row
        # Contiguous maps of 14^2 and 7^2 pixels are not: Triton asks whether 16 divides the pixels.
        is_aligned = row["layout"] == "nhwc" or row["pixels"] % 16 == 0
        if row["dtype"] == "bf16" and is_aligned:
            assert row["wide_loads"] > 0, row
        if is_aligned and any(word in row["kernel"] for word in ("apply", "whole", "looped")):
            assert row["wide_stores"] > 0, row


def test_every_kernel_is_in_the_table(table: dict[str, Any]) -> None:
    from gnexp.ops import kernels, kernels_backward

    ours = {
        name for module in (kernels, kernels_backward) for name, value in vars(module).items()
        if name.startswith(("forward_", "backward_", "merge_", "moments", "apply")) and hasattr(value, "run")
    }  # fmt: skip
    assert ours - {"apply_range"} <= {row["kernel"] for row in table["rows"]}


def test_the_table_is_the_golden_one(table: dict[str, Any]) -> None:
    if table["triton"] != GOLDEN["triton"]:
        pytest.skip(f"the golden table is of Triton {GOLDEN['triton']}; the invariants are held all the same")
    found, golden = (
        {tuple(row[key] for key in ROW_KEYS): row for row in rows} for rows in (table["rows"], GOLDEN["rows"])
    )
    assert found == golden, "if the new machine code is as good: python scripts/cubins.py --write"
