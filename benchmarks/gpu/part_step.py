"""A training step of ResNet-50 in bfloat16, the images on the device: batch norm, and group norm in three ways."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from device_clock import peak_mb, wall_ms
from ops_gpu import one_line
from ops_rows import PlainNorm, interleaved, plain_group_norm, spread
from part import Part, run_part
from torch import nn

from gnexp.compose.composer import Composer
from gnexp.config import RunConfig, norm_config
from gnexp.engine.device import set_float32
from gnexp.engine.optimizer import build_optimizer
from gnexp.models.build import build_model
from gnexp.models.resnet import BasicBlock, Bottleneck
from gnexp.nn.norm_act import NormAct, NormFactory
from gnexp.nn.norms import norm_factory

LEARNING_RATE = 1e-4  # the labels are random: the weights must stay where they are
LAST_GAMMA = 0.2
MOST_WIDE = 64  # images whose step in float64 is sure to fit
# Least cosines of all gradients with those wanted. ResNet-50 at 224 px, 2 workers x 2, on a CPU has 0.999996 or more in
# float32, and in bfloat16 0.9998 with group norm and 0.984 with batch norm.
LEAST_COSINE, LEAST_HALF_COSINE = 0.999, 0.95


@dataclass(frozen=True)
class Way:
    """One way to make the step."""

    name: str
    norm: str  # whose mathematics: of one norm all ways have the same gradients
    is_channels_last: bool = True
    impl: str | None = None  # gnexp's group norm by it; None: torch's modules
    is_folded: bool = False  # batch norm of each virtual worker alone
    is_compiled: bool = False


# Virtual workers fold into channels in NCHW alone, and one worker is what a GPU of several would do.
BN_WORKERS = Way("BN, virtual workers", "bn", is_channels_last=False, is_folded=True)
BN_WHOLE = Way("BN, one worker", "bn whole")
FUSED = Way("GN fused", "gn", impl="fused")
NATIVE = Way("GN native", "gn")
COMPILED = Way("GN compiled", "gn", is_compiled=True)
EAGER = (BN_WORKERS, BN_WHOLE, FUSED, NATIVE)


def measure(part: Part) -> None:
    """Measures the eager ways at each batch, then the compiled one beside the fused."""
    composer = Composer()
    for ways in (EAGER, (FUSED, COMPILED)):
        for batch in part.sizes.step_batches:
            if COMPILED in ways and part.seconds_left < part.sizes.compile_seconds:
                part.figure(f"step, {COMPILED.name}, batch {batch}", None, note="left out: no time left")
                continue
            run = composer.run([*part.sizes.step_words, "norm=gn", f"batch={batch}"])
            _measure_ways(part, run, ways)
            gc.collect()
            torch.cuda.empty_cache()  # nothing on a CPU


def _measure_ways(part: Part, run: RunConfig, ways: tuple[Way, ...]) -> None:
    """Checks, then times some ways in turn."""
    images, labels = _batch(run, part)
    wanted: dict[str, torch.Tensor] = {}
    steps: dict[str, Callable[[], object]] = {}
    found: dict[str, dict[str, Any]] = {}
    for way in ways:
        row: dict[str, Any] = {
            "rows": f"{run.model.name} step", "way": way.name, "batch": run.batch, "workers": run.workers,
            "layout": "channels_last" if way.is_channels_last else "NCHW", "n": part.sizes.repeats,
        }  # fmt: skip
        found[way.name] = row
        try:
            if way.norm not in wanted:
                wanted[way.norm] = _wanted(way, run, images, labels)
            step = Step(way, run, images, labels, part.sizes.compiler)
            row["wrong"] = _fault(step, wanted[way.norm])
            if row["wrong"]:
                continue
            del row["wrong"]
            step()
            row["peak_mb"] = peak_mb(step, part.device, is_whole=True)
            steps[way.name] = step
        except Exception as error:  # out of memory, a compiler that gives up: the other ways go on
            row["wrong"] = one_line(error)
    calls = {name: lambda step=step: wall_ms(step, part.device) for name, step in steps.items()}
    times = interleaved(calls, part.sizes.repeats)
    for name, row in found.items():
        if name in times:
            row["ms"] = spread(times[name])
            row["images_per_s"] = spread([1e3 * run.total_batch / ms for ms in times[name]], 1)
        part.row(row)
        _say(part, row, beside=" (beside compiled)" if COMPILED in ways and name != COMPILED.name else "")


def _say(part: Part, row: dict[str, Any], beside: str) -> None:
    name = f"step, {row['way']}{beside}, {row['workers']} x {row['batch']}"
    if "wrong" in row:
        part.figure(name, None, note=row["wrong"], is_wrong=True)
        return
    speed, peak = row["images_per_s"], row["peak_mb"]
    note = row["layout"] + (f", peak {peak:.0f} MB" if peak else "")
    part.figure(
        name, speed["median"], "images/s", low=speed["low"], high=speed["high"], n=row["n"], note=note
    )  # fmt: skip


def _batch(run: RunConfig, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels on the device; position p is of worker p mod workers."""
    generator = torch.Generator(part.device).manual_seed(0)
    shape = (run.total_batch, run.data.channels, part.sizes.step_image, part.sizes.step_image)
    images = torch.randn(shape, generator=generator, device=part.device)
    return images, torch.arange(run.total_batch, device=part.device) % run.data.num_classes


def _network(way: Way, run: RunConfig, device: torch.device, impl: str | None) -> nn.Module:
    """The network of a way with drawn gammas and betas, equal for all ways.

    A block's last gamma starts as 0, which would hide its gradients. It gets a small one: blocks that add as much as
    they are given make so deep a network chaotic, and rounding alone then turns its gradients.
    """
    model = build_model(
        run.model,
        _factory(way, run, impl),
        channels=run.data.channels,
        num_classes=run.data.num_classes,
        generator=torch.Generator().manual_seed(0),
    )
    generator = torch.Generator().manual_seed(1)
    last = {id(block.last_norm) for block in model.modules() if isinstance(block, BasicBlock | Bottleneck)}
    with torch.no_grad():
        for norm in (module for module in model.modules() if isinstance(module, NormAct | PlainNorm)):
            gamma, beta = norm.parameters()
            for parameter in (gamma, beta):
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
            gamma.add_(1.0)
            if id(norm) in last:
                gamma.mul_(LAST_GAMMA)
    return model.to(device).train()


def _factory(way: Way, run: RunConfig, impl: str | None) -> NormFactory:
    if way.norm != "gn":
        workers = run.virtual_workers if way.is_folded else 1
        return norm_factory(norm_config(kind="bn", momentum=0.1), workers)
    if impl is not None:
        return norm_factory(replace(run.norm, impl=impl), 1)
    groups = run.model.default_num_groups
    return lambda channels, *, relu=True: plain_group_norm(channels, groups, relu)  # type: ignore[return-value]


def _wanted(way: Way, run: RunConfig, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """All gradients in float64, in float32 where many images make that too large, by gnexp's plain operators."""
    set_float32(replace(run, precision=None))
    dtype = torch.float64 if len(images) <= MOST_WIDE else torch.float32
    model = _network(way, run, images.device, "composed").to(dtype)
    return _gradients(model, images.to(dtype), labels)


def _gradients(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    loss = F.cross_entropy(model(images), labels)
    found = torch.autograd.grad(loss, list(model.parameters()))
    return torch.cat([gradient.flatten().double() for gradient in found])


class Step:
    """A whole training step: forward and backward pass under autocast, and SGD."""

    def __init__(
        self, way: Way, run: RunConfig, images: torch.Tensor, labels: torch.Tensor, compiler: str
    ) -> None:
        layout = torch.channels_last if way.is_channels_last else torch.contiguous_format
        self.way, self.labels = way, labels
        self.images = images.contiguous(memory_format=layout)
        self.plain = _network(way, run, images.device, way.impl).to(memory_format=layout)
        self.model: Any = self.plain
        if way.is_compiled:
            torch.compiler.reset()  # each batch is compiled for itself
            self.model = torch.compile(self.plain, backend=compiler, dynamic=False)
        self.optimizer = build_optimizer(self.plain, run)
        for group in self.optimizer.param_groups:
            group["lr"] = LEARNING_RATE

    def autocast(self) -> torch.autocast:
        """Of the forward pass."""
        return torch.autocast(self.images.device.type, torch.bfloat16)

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            loss = F.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()

    def gradients(self, *, is_half: bool) -> torch.Tensor:
        """All of them, with the weights as they are."""
        model = self.model if is_half else self.plain
        if not is_half:
            return _gradients(model, self.images, self.labels)
        with self.autocast():
            return _gradients(model, self.images, self.labels)


def _fault(step: Step, wanted: torch.Tensor) -> str:
    """How far a way's gradients are from those wanted; empty where they are near enough."""
    for is_half, least in ((False, LEAST_COSINE), (True, LEAST_HALF_COSINE)):
        if step.way.is_compiled and not is_half:
            continue  # another compilation, of what is not timed
        cosine = float(F.cosine_similarity(step.gradients(is_half=is_half), wanted, dim=0))
        if not cosine >= least:  # so written, NaN is wrong
            return f"the gradients' cosine is {cosine:.4f} in {'bf16' if is_half else 'fp32'}, least {least}"
    return ""


if __name__ == "__main__":
    run_part("step", measure)
