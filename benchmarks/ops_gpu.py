"""The GPU's part of the benchmark of the GN op: each shape in two dtypes and two layouts.

Columns, each in its row's dtype and layout: torch's group norm, the same under autocast (of bf16), torch.compile of it,
batch norm, and gnexp's op. Interleaved in alternating order, by device events, with the L2 cache emptied before each
call (cold) or holding what the call before it left (warm); medians and quartiles over at least 20 repeats, after one
that is not counted. What the bytes that must move take at the speed of a copy on the same device, measured in the same
run, is the floor that each time is compared with. A column that is wrong or fails is a row that says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from device_clock import cache_of, copy_speeds, peak_mb, timer_of
from ops_model import Norm, floor
from ops_rows import Case, OpNorm, Row, Way, interleaved, plain_batch_norm, plain_group_norm, spread
from torch import nn


@dataclass(frozen=True)
class Setting:
    """What all columns of a row have in common."""

    dtype: torch.dtype
    is_channels_last: bool

    def __str__(self) -> str:
        name = "bf16" if self.dtype == torch.bfloat16 else "fp32"
        return f"{name} {'channels_last' if self.is_channels_last else 'NCHW'}"


# The first two are those that a run takes by default in half and in single precision. Each may use what is left of the
# time up to its share, so that the later ones are not what is always left out.
SETTINGS = {
    Setting(torch.bfloat16, True): 0.45,
    Setting(torch.float32, False): 0.7,
    Setting(torch.bfloat16, False): 0.85,
    Setting(torch.float32, True): 1.0,
}


@dataclass(frozen=True)
class Column:
    """One way to compute a row."""

    name: str
    case: Case
    norm: nn.Module
    way: Way
    is_batch: bool = False

    def forward(self) -> torch.Tensor:
        """Y."""
        return self.way(self.case.x, self.case.residual)

    def backward(self, y: torch.Tensor) -> object:
        """All gradients."""
        return torch.autograd.grad(y, self.case.inputs(self.norm), self.case.dy.to(y.dtype))

    def both(self) -> object:
        """Forward, then backward."""
        return self.backward(self.forward())


def columns(row: Row, device: torch.device, setting: Setting, impl: str, compiler: str) -> list[Column]:
    """All of them, with equal tensors."""
    case, dims = Case(row, device, setting.dtype), len(row.shape)
    if setting.is_channels_last:
        case = case.in_format(torch.channels_last if dims == 4 else torch.channels_last_3d)
    channels, groups = row.shape[1], row.groups
    native = case.load(plain_group_norm(channels, groups)).to(setting.dtype)
    batch, fused = case.load(plain_batch_norm(dims, channels)), case.load(OpNorm(channels, groups, impl=impl))
    found = [
        Column("native", case, native, native),
        Column("compiled", case, native, torch.compile(native, backend=compiler, fullgraph=True)),
        Column("BN", case, batch, batch, True),
        Column("gnexp", case, fused, fused),
    ]
    if setting.dtype == torch.float32:
        return found
    wide = case.load(plain_group_norm(channels, groups))

    def autocast(x: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        with torch.autocast(device.type, setting.dtype):
            return wide(x, residual)

    return [*found, Column("native autocast", case, wide, autocast)]


def measure(
    row: Row,
    device: torch.device,
    repeats: int,
    copy_gb_per_s: float,
    setting: Setting,
    impl: str = "fused",
    compiler: str = "inductor",
) -> list[dict[str, Any]]:
    """Every column of a row: ms of forward and backward, cold and warm, GB/s, times the floor, peak memory."""
    values_moved = floor(Norm(row.shape[1], 0, True, row.add), 2) / 2  # whole tensors, forward and backward
    least = values_moved * setting.dtype.itemsize * torch.Size(row.shape).numel()  # bytes
    cache, timer = cache_of(device), timer_of(device)
    found: list[dict[str, Any]] = []
    calls: dict[str, Callable[[], float]] = {}

    def call(column: Column, part: str, state: str) -> float:
        y = column.forward()  # leaves its values in the cache
        if state == "cold":
            cache.zero_()
        return timer(column.forward if part == "forward" else lambda: column.backward(y))

    for column in columns(row, device, setting, impl, compiler):
        common = {"rows": row.name, "op": row.op, "shape": list(row.shape), "groups": row.groups}
        found.append(common | {"setting": str(setting), "column": column.name})
        try:
            fault = column.case.wrong(column.norm, column.way, is_batch=column.is_batch)
            if fault:
                found[-1]["wrong"] = fault
                continue
            found[-1] |= {"n": repeats, "peak_mb": peak_mb(column.both, device)}
        except Exception as error:  # a compiler that gives up, memory that is short: the others go on
            found[-1]["wrong"] = one_line(error)
            continue
        for part in ("forward", "backward"):
            for state in ("cold", "warm"):
                key = f"{column.name}/{part}/{state}"
                calls[key] = lambda c=column, p=part, s=state: call(c, p, s)
    times = interleaved(calls, repeats)
    for result in (r for r in found if "wrong" not in r):
        for part in ("forward", "backward"):
            for state in ("cold", "warm"):
                result[f"{part}_{state}_ms"] = spread(times[f"{result['column']}/{part}/{state}"], 4)
        cold = sum(result[f"{part}_cold_ms"]["median"] for part in ("forward", "backward"))
        result["cold_ms"] = round(cold, 4)
        result["gb_per_s"] = round(least / cold / 1e6, 1)
        result["x_floor"] = round(copy_gb_per_s / (least / cold / 1e6), 3)
    return found


def one_line(error: BaseException) -> str:
    """What an error says, however many lines a compiler takes for it; the beginning of much."""
    return f"failed: {type(error).__name__}: {' '.join(str(error).split())}"[:300]


def print_row(row: dict[str, Any]) -> None:
    """One line of the table."""
    shape = "x".join(str(size) for size in row["shape"])
    line = f"{row['setting']:19}{row['op']:11}{shape:>17}{row['column']:>16}"
    if "wrong" in row:
        print(f"{line}  WRONG: {row['wrong']}", flush=True)
        return
    times = ""
    for part in ("forward", "backward"):
        cold, warm = row[f"{part}_cold_ms"], row[f"{part}_warm_ms"]
        times += f"{cold['median']:>9.4f} ({cold['low']:.4f}-{cold['high']:.4f}){warm['median']:>9.4f}"
    print(f"{line}{times}{row['gb_per_s']:>9}{row['x_floor']:>9}{row['peak_mb'] or '-':>9}", flush=True)


def copy_row(device: torch.device, repeats: int) -> dict[str, Any]:
    """The copy that gives the floor."""
    return {"rows": "copy", "gb_per_s": spread(copy_speeds(device, repeats), 1), "n": repeats}


def rows(
    device: torch.device,
    repeats: int,
    shapes: Sequence[Row],
    *,
    seconds: float = float("inf"),
    impl: str = "fused",
    compiler: str = "inductor",
    settings: dict[Setting, float] = SETTINGS,
) -> Iterable[dict[str, Any]]:
    """Measures and prints all of it as it comes, the copy first; what the time does not reach is a row that says so."""
    start = time.monotonic()
    copy = copy_row(device, repeats)
    print(f"copy: {copy['gb_per_s']} GB/s; ms are medians of {repeats}, cold with quartiles")
    header = f"{'forward cold':>25}{'warm':>9}{'backward cold':>25}{'warm':>9}{'GB/s':>9}{'x floor':>9}{'peak MB':>9}"
    print(f"{'setting':19}{'op':11}{'shape':>17}{'column':>16}{header}")
    yield copy
    for setting, share in settings.items():
        for row in shapes:
            if time.monotonic() - start > share * seconds:
                yield {
                    "rows": row.name, "op": row.op, "shape": list(row.shape), "setting": str(setting),
                    "left_out": "no time left",
                }  # fmt: skip
                continue
            for result in measure(row, device, repeats, copy["gb_per_s"]["median"], setting, impl, compiler):
                print_row(result)
                yield result
            torch.compiler.reset()  # each shape is compiled for itself
