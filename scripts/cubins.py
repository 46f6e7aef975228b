"""What the group-norm kernels become on a GPU, compiled without one: registers, spills, memory operations.

    python scripts/cubins.py [--write]

Compiles each kernel as ResNet-50 needs it for sm_80 and sm_90 and reads the machine code. Prints a table; --write keeps
it in tests/ops/cubins.json, the golden table that the tests hold the kernels to.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ["TRITON_INTERPRET"] = "0"

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from gnexp.ops import kernels, kernels_backward
from gnexp.ops.plan import LOOPED, SPLIT, WHOLE, group_slab, make_plan
from gnexp.system.files import write_text

GOLDEN = Path(__file__).parents[1] / "tests" / "ops" / "cubins.json"
BIN = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
ARCHITECTURES = (80, 90)
NUM_GROUPS = 32
# ResNet-50's and a video's (C, pixels), by their best path in contiguous (nchw) and in channels last (nhwc).
SHAPES = [
    *((WHOLE, "nchw", *shape) for shape in ((256, 784), (1024, 196), (2048, 49))),
    *((WHOLE, "nhwc", *shape) for shape in ((1024, 196), (2048, 49))),
    (LOOPED, "nchw", 256, 3136), (LOOPED, "nhwc", 512, 784),
    (SPLIT, "nchw", 64, 501760), (SPLIT, "nhwc", 64, 12544),
]  # fmt: skip
KERNELS = {
    WHOLE: (kernels.forward_whole, kernels_backward.backward_whole),
    LOOPED: (kernels.forward_looped, kernels_backward.backward_looped),
    SPLIT: (
        kernels.moments,
        kernels.apply,
        kernels_backward.backward_sums,
        kernels_backward.backward_apply,
    ),
}
MERGES = (kernels.merge_moments, kernels_backward.merge_sums, kernels_backward.sum_rows)
BIG = ("x_ptr", "residual_ptr", "y_ptr", "dy_ptr", "dx_ptr", "dresidual_ptr")  # of x's dtype


class Variant(NamedTuple):
    """A kernel with the constants that it is compiled for."""

    kernel: Any
    layout: str
    pixels: int
    dtype: str
    constants: dict[str, Any]
    num_warps: int
    sizes: dict[str, int]  # arguments of which Triton asks whether 16 divides them


def variants() -> Iterator[Variant]:
    """Every kernel that ResNet-50 uses, in both layouts and two precisions, with residual and ReLU."""
    common = {"EPS": 1e-5, "ACC": tl.float32, "HAS_RESIDUAL": True, "HAS_OUTPUT": True, "HAS_RELU": True}
    for path, layout, channels, pixels in SHAPES:
        is_last = layout == "nhwc"
        plan = make_plan(channels, pixels, NUM_GROUPS, is_channels_last=is_last)
        assert plan.path == path, f"{channels}, {pixels} takes the path {plan.path} now, not {path}"
        constants = {
            **common, "IS_CHANNELS_LAST": is_last, "IS_ONE_GROUP": plan.slab <= channels // NUM_GROUPS,
            "slab": plan.slab, "BLOCK_S": plan.block_s, "BLOCK_C": plan.block_c,
        }  # fmt: skip
        sizes = {"num_pixels": pixels, "channels": channels, "per_split": plan.per_split}
        for kernel in KERNELS[path]:
            for dtype in ("bf16", "fp32"):
                yield Variant(kernel, layout, pixels, dtype, constants, plan.num_warps, sizes)
    slab, _, block_c = group_slab(256, NUM_GROUPS)
    for kernel in MERGES:
        constants = {**common, "IS_ONE_GROUP": False, "slab": slab, "BLOCK_R": 32, "BLOCK_C": block_c}
        yield Variant(kernel, "-", 12544, "fp32", constants, 4, {"channels": 256})


def inspect(variant: Variant, arch: int) -> dict[str, Any]:
    """Compiles a variant and counts what its machine code does."""
    kernel, names = variant.kernel, variant.kernel.arg_names
    constants = {name: value for name, value in variant.constants.items() if name in names}

    def kind(name: str) -> str:
        if name in constants:
            return "constexpr"
        return f"*{variant.dtype}" if name in BIG else "*fp32" if name.endswith("_ptr") else "i32"

    aligned = [
        i for i, name in enumerate(names) if name.endswith("_ptr") or variant.sizes.get(name, 1) % 16 == 0
    ]
    source = ASTSource(
        kernel,
        {name: kind(name) for name in names},
        {(names.index(name),): value for name, value in constants.items()},
        {(i,): [["tt.divisibility", 16]] for i in aligned},
    )
    options = {"num_warps": variant.num_warps}
    compiled = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(compiled.asm["cubin"])
        usage, code = (_dump(option, path) for option in ("-res-usage", "-sass"))
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert found is not None, usage
    operations = re.findall(r"\b(LDG|STG|LDL|STL|ATOM|ATOMG|RED)\b([\w.]*)", code)

    def count(*which: str, wide: bool | None = None) -> int:
        return sum(op in which and wide in (None, ".128" in suffix) for op, suffix in operations)

    return {
        "kernel": kernel.__name__, "layout": variant.layout, "pixels": variant.pixels,
        "dtype": variant.dtype, "sm": arch,
        "warps": variant.num_warps, "registers": int(found[1]), "stack": int(found[2]),
        "spills": count("LDL", "STL"), "atomics": count("ATOM", "ATOMG", "RED"),
        "wide_loads": count("LDG", wide=True), "wide_stores": count("STG", wide=True),
    }  # fmt: skip


def _dump(option: str, path: Path) -> str:
    command = [str(BIN / "cuobjdump"), option, str(path)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout


def main() -> None:
    """Prints the table and keeps it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"into {GOLDEN}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = [inspect(variant, arch) for variant in variants() for arch in ARCHITECTURES]
    # A line for each, so that a diff shows what moved.
    lines = ",\n".join(json.dumps(row) for row in rows)
    table = f'{{"triton": "{triton.__version__}", "rows": [\n{lines}\n]}}\n'
    if options.json:
        sys.stdout.write(table)
    else:
        print(f"Triton {triton.__version__}")
        print(" ".join(f"{name:>12}" for name in rows[0]).replace("      kernel", "kernel          "))
        for row in rows:
            kernel, *rest = row.values()
            print(f"{kernel:16}", *(f"{value:>12}" for value in rest))
    if options.write:
        write_text(GOLDEN, table)


if __name__ == "__main__":
    main()
