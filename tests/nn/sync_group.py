"""What each process of a group runs for test_sync_batch_norm.py: steps of one synchronized norm, unevenly spread."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch

from gnexp.config import RunConfig, norm_config
from gnexp.engine.processes import joined
from gnexp.nn.norms import norm_factory
from gnexp.nn.sync_batch_norm import SyncBatchNormAct

CHANNELS = 5
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
# Images of each step in each process: uneven, none in one of them, none at all.
SHARES = ((5, 3), (8, 0), (0, 0), (2, 6))
CONFIG = norm_config(kind="sync_bn", momentum=0.1)


def randn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def images(step: int) -> torch.Tensor:
    return randn(sum(SHARES[step]), CHANNELS, 4, 4, seed=10 + step) * 3 + 100


def upstream(step: int) -> torch.Tensor:
    return randn(sum(SHARES[step]), CHANNELS, 4, 4, seed=20 + step)


def give_affine(norm: Any) -> None:
    with torch.no_grad():
        norm.weight.copy_(randn(CHANNELS, seed=1))
        norm.bias.copy_(randn(CHANNELS, seed=2))


def steps_of(norm: SyncBatchNormAct, layout: torch.memory_format, rank: int) -> list[dict[str, torch.Tensor]]:
    found = []
    for step, shares in enumerate(SHARES):
        own = slice(sum(shares[:rank]), sum(shares[: rank + 1]))
        x = images(step)[own].contiguous(memory_format=layout).requires_grad_()
        norm.zero_grad()
        y = norm(x)
        assert y.shape == x.shape and (not len(x) or y.is_contiguous(memory_format=layout))
        (y * upstream(step)[own]).sum().backward()
        gradients = {"x": x.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
        assert all(gradient is not None for gradient in gradients.values())
        running = {"mean": norm.running_mean.clone(), "var": norm.running_var.clone()}
        found.append({"y": y.detach(), **gradients, **running})
    return found


def main(out: Path) -> None:
    torch.set_num_threads(1)
    run = dataclasses.replace(RunConfig(), processes=int(os.environ["WORLD_SIZE"]))
    with joined(run, torch.device("cpu")) as processes:
        found = {}
        for name, layout in LAYOUTS.items():
            norm = norm_factory(CONFIG, 4)(CHANNELS, relu=False).double()
            give_affine(norm)
            norm.peers = processes.peers
            found[name] = steps_of(norm, layout, processes.rank)
        everything = processes.gather(found)
        if processes.is_first:
            torch.save(everything, out)
