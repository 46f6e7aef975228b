"""The GPU's part of the benchmark of the GN op: single shapes, and a whole ResNet-50 step.

Columns: torch's group norm under autocast and in bf16 (NCHW, the only format it has there), torch.compile of the same
module, batch norm eager and compiled (channels_last), and gnexp's fused op (channels_last). Interleaved in alternating
order, by device events, with the L2 cache emptied before each call (cold) or holding what the call before it left
(warm); medians and quartiles over at least 20 repeats, after one that is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from ops_model import Norm, floor
from ops_rows import (
    Case,
    OpNorm,
    Row,
    Way,
    interleaved,
    plain_batch_norm,
    plain_group_norm,
    resnet50_rows,
    spread,
)
from torch import nn

from gnexp.config import ModelConfig
from gnexp.models.resnet import ResNet, build_resnet

BATCH = 32
CACHE = 512 << 20  # bytes: several times an H100's L2
NETWORK = ModelConfig(
    name="resnet50",
    block="bottleneck",
    blocks=(3, 4, 6, 3),
    widths=(64, 128, 256, 512),
    stem="conv7x7_pool",
    default_num_groups=32,
)
SIMILARITY = 0.95  # of all gradients of a network in bf16 to those in float64, as a cosine

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


@dataclass(frozen=True)
class Column:
    """One way to compute a row."""

    name: str
    case: Case  # in the format that the way takes
    norm: nn.Module
    way: Way
    is_batch: bool = False

    def forward(self) -> torch.Tensor:
        """Y."""
        return self.way(self.case.x, self.case.residual)

    def backward(self, y: torch.Tensor) -> object:
        """All gradients."""
        return torch.autograd.grad(y, self.case.inputs(self.norm), self.case.dy.to(y.dtype))


def columns(row: Row, device: torch.device, impl: str, compiler: str) -> list[Column]:
    """All of them, with equal tensors."""
    case, dims = Case(row, device, torch.bfloat16), len(row.shape)
    last = case.in_format(torch.channels_last if dims == 4 else torch.channels_last_3d)
    channels, groups = row.shape[1], row.groups
    wide, fused = (
        case.load(plain_group_norm(channels, groups)),
        case.load(OpNorm(channels, groups, impl=impl)),
    )
    native = case.load(plain_group_norm(channels, groups)).bfloat16()
    batch = case.load(plain_batch_norm(dims, channels))

    def autocast(x: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return wide(x, residual)

    def compiled(norm: nn.Module) -> Way:
        return torch.compile(norm, backend=compiler, fullgraph=True)

    return [
        Column("native autocast", case, wide, autocast),
        Column("native bf16", case, native, native),
        Column("compiled", case, native, compiled(native)),
        Column("BN", last, batch, batch, True),
        Column("BN compiled", last, batch, compiled(batch), True),
        Column("fused", last, fused, fused),
    ]


def measure(
    row: Row,
    device: torch.device,
    repeats: int,
    timer: Timer,
    impl: str = "fused",
    compiler: str = "inductor",
) -> list[dict[str, Any]]:
    """Every column of a row: ms of forward and backward, cold and warm, GB/s over the byte floor, peak memory."""
    least = floor(Norm(row.shape[1], 0, True, row.add), 2)  # bytes a value, forward and backward
    cache = torch.empty(CACHE if device.type == "cuda" else 1 << 10, dtype=torch.uint8, device=device)
    found: list[dict[str, Any]] = []
    calls: dict[str, Callable[[], float]] = {}

    def call(column: Column, part: str, state: str) -> float:
        y = column.forward()  # leaves its values in the cache
        if state == "cold":
            cache.zero_()
        return timer(column.forward if part == "forward" else lambda: column.backward(y))

    for column in columns(row, device, impl, compiler):
        result = {"rows": row.name, "op": row.op, "shape": list(row.shape), "groups": row.groups}
        found.append(result | {"column": column.name})
        fault = column.case.wrong(column.norm, column.way, is_batch=column.is_batch)
        if fault:
            found[-1]["wrong"] = fault
            continue
        found[-1] |= {"n": repeats, "peak_mb": _peak(column, device)}
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
        result["floor_gb_per_s"] = round(least * torch.Size(row.shape).numel() / cold / 1e6, 1)
    return found


def _peak(column: Column, device: torch.device) -> float | None:
    """MB that a forward and a backward pass need beside what is there."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    column.backward(column.forward())
    return round((torch.cuda.max_memory_allocated() - before) / 1e6, 1)


def print_row(row: dict[str, Any]) -> None:
    """One line of the table."""
    line = f"{row['op']:13}{'x'.join(str(size) for size in row['shape']):>18}{row['column']:>17}"
    if "wrong" in row:
        print(f"{line}  WRONG: {row['wrong']}", flush=True)
        return
    times = ""
    for part in ("forward", "backward"):
        cold, warm = row[f"{part}_cold_ms"], row[f"{part}_warm_ms"]
        times += f"{cold['median']:>9.4f} ({cold['low']:.4f}-{cold['high']:.4f}){warm['median']:>9.4f}"
    print(f"{line}{times}{row['floor_gb_per_s']:>9}{row['peak_mb'] or '-':>9}", flush=True)


def network(impl: str, config: ModelConfig, device: torch.device) -> ResNet:
    """A ResNet whose norms are gnexp's op by `impl`, or torch's own ("native"); equal weights for all."""

    def norm(channels: int, *, relu: bool = True) -> nn.Module:
        groups = config.default_num_groups
        return (
            plain_group_norm(channels, groups, relu)
            if impl == "native"
            else OpNorm(channels, groups, relu, impl)
        )

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_resnet(config, norm, channels=3, num_classes=1000).to(device)


def resnet_steps(
    device: torch.device,
    repeats: int,
    timer: Timer,
    impls: Iterable[str] = ("fused", "composed", "native"),
    config: ModelConfig = NETWORK,
    shape: tuple[int, int] = (BATCH, 224),
) -> list[dict[str, Any]]:
    """Forward and backward pass of a network, bf16 autocast, channels_last, for each implementation."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(shape[0], 3, shape[1], shape[1], generator=generator).to(device)
    labels = torch.arange(shape[0], device=device)

    def gradients(model: ResNet, x: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(model(x), labels)
        return torch.cat([g.flatten().double() for g in torch.autograd.grad(loss, list(model.parameters()))])

    wanted = gradients(network("composed", config, device).double(), images.double())
    images = images.contiguous(memory_format=torch.channels_last)
    found: list[dict[str, Any]] = []
    calls: dict[str, Callable[[], float]] = {}
    for impl in impls:
        model = network(impl, config, device).to(memory_format=torch.channels_last)

        def step(model: ResNet = model) -> torch.Tensor:
            with torch.autocast(device.type, torch.bfloat16):
                return gradients(model, images)

        similarity = float(F.cosine_similarity(step(), wanted, dim=0))
        found.append({"rows": f"{config.name} step", "batch": shape[0], "impl": impl, "n": repeats})
        if not similarity >= SIMILARITY:  # so written, NaN is wrong
            found[-1]["wrong"] = f"the gradients' cosine with float64's is {similarity:.3f}"
            continue
        calls[impl] = lambda step=step: timer(step)
    times = interleaved(calls, repeats)
    for result in (r for r in found if "wrong" not in r):
        result["ms"] = spread(times[result["impl"]])
    return found


def rows(device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """Measures and prints all of it."""
    print(
        f"{torch.cuda.get_device_name(device)}: ms, medians of {repeats}, cold with quartiles; GB/s over the floor"
    )
    header = f"{'forward cold':>25}{'warm':>9}{'backward cold':>25}{'warm':>9}{'GB/s':>9}{'peak MB':>9}"
    print(f"{'op':13}{'shape':>18}{'column':>17}{header}")
    found: list[dict[str, Any]] = []
    for row in resnet50_rows(BATCH):
        for result in measure(row, device, repeats, device_timer):
            print_row(result)
            found.append(result)
        torch.compiler.reset()  # each shape is compiled for itself
    for result in resnet_steps(device, repeats, device_timer):
        text = f"WRONG: {result['wrong']}" if "wrong" in result else f"{result['ms']} ms"
        print(f"{result['rows']}, {result['batch']} images, {result['impl']}: {text}", flush=True)
        found.append(result)
    return found
