"""The step of every norm beside group normalization's, for gnexp bench step."""

from __future__ import annotations

import contextlib
import copy
import statistics
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import torch

from gnexp.config import RunConfig
from gnexp.data.build import build_dataset
from gnexp.engine.state import State, build
from gnexp.engine.train import StepRecord, train
from gnexp.nn import channel_layer_norm, evonorm, group_norm, rms_norm, weight_standardization
from gnexp.nn.batch_norm import BatchNormAct
from gnexp.nn.batch_renorm import BatchRenormAct
from gnexp.nn.norm_act import NormAct
from gnexp.ops import reference

CPU = torch.device("cpu")
TOLERANCE = 1e-8  # in float64, of loss and gradients, relative to the largest gradient of a parameter

Timed = Callable[[Iterator[object]], Callable[[float], float]]


@contextlib.contextmanager
def by_equations() -> Iterator[None]:
    """Has norms and standardized weights computed by ops/reference.py. sync_bn's one native call stays as it is."""

    def grouped(*values: object) -> torch.Tensor:
        *rest, _ = values  # impl
        return reference.group_norm(*rest)  # type: ignore[arg-type]

    with contextlib.ExitStack() as stack:
        for module, name, equation in (
            (group_norm, "group_norm", grouped),
            (rms_norm, "rms_norm", reference.rms_norm),
            (evonorm, "evonorm_s0", reference.evonorm_s0),
            (channel_layer_norm, "channel_layer_norm", reference.channel_layer_norm),
            (weight_standardization, "standardize", reference.standardize_weight),
            (BatchNormAct, "normalize_folded", BatchNormAct.normalize_plainly),
            (BatchRenormAct, "normalize_folded", BatchRenormAct.normalize_plainly),
        ):
            stack.enter_context(mock.patch.object(module, name, equation))
        yield


def check_equations(state: State) -> None:
    """A step's loss and every gradient by the norm's fast path and by its equations, in float64.

    The norms' parameters are drawn first: a fresh block's last gamma is 0, and so is every gradient behind it.

    Raises:
        SystemExit: they differ or are not finite, so that no speed is reported.
    """
    run = state.run
    (batch,) = build_dataset(run.data, CPU).train_batches(0, 0, [np.arange(run.total_batch)])
    batch = type(batch)(batch.images.double(), batch.labels, batch.indices)
    fast = copy.deepcopy(state.model).double().train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for norm in (module for module in fast.modules() if isinstance(module, NormAct)):
            for parameter in norm.parameters():
                parameter.normal_(1, 0.5, generator=generator)
    plain = copy.deepcopy(fast)
    loss, _ = state.task.step(fast, batch)
    loss.backward()
    with by_equations():
        expected, _ = state.task.step(plain, batch)
        expected.backward()
    differences = [(loss - expected).detach().abs()]
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None and theirs.grad.any()
        differences.append((ours.grad - theirs.grad).abs().max() / theirs.grad.abs().max())
    worst = float(torch.stack(differences).max())
    if not worst <= TOLERANCE:  # so written, NaN is a difference
        raise SystemExit(f"{run.norm.label} at {run.batch}: its equations differ by {worst:.1e}")


def measure_norms(
    runs: dict[str, RunConfig], timed: Timed, rounds: int, seconds: float
) -> list[dict[str, object]]:
    """Interleaved bursts of every norm's step; one row a norm, with its ratio to gn's step of the same round."""
    for run in runs.values():
        check_equations(build(run, CPU))
    bursts = {
        name: timed(r for r in train(build(run, CPU)) if isinstance(r, StepRecord))
        for name, run in runs.items()
    }
    times: dict[str, list[float]] = {name: [] for name in bursts}
    for round_ in range(rounds + 1):
        for name, burst in bursts.items():
            taken = burst(seconds)
            if round_ > 0:  # the first round pays for memory and kernels
                times[name].append(taken)
    rows: list[dict[str, object]] = []
    for name, run in runs.items():
        ratios = sorted(a / b for a, b in zip(times[name], times["gn"], strict=True))
        rows.append(
            {
                "norm": name, "batch": run.batch, "workers": run.workers, "threads": torch.get_num_threads(),
                "gnexp_ms": round(1e3 * statistics.median(times[name]), 2),
                "to_gn": round(statistics.median(ratios), 2),
                "to_gn_low": round(ratios[0], 2), "to_gn_high": round(ratios[-1], 2),
            }
        )  # fmt: skip
    return rows
