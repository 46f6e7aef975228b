"""How fast is the small scale's training step, against what a user would write instead?

    gnexp bench step [--part users|norms|all] [--workers 8] [--threads 1] [--rounds 7] [--seconds 1.0]

For BN the user's code is (a) one backward pass per worker through nn.BatchNorm2d, gradients accumulated, or (b) one
pass over the total batch with a ghost batch norm that normalizes it chunk by chunk; for GN it is (c) one pass over the
total batch through nn.GroupNorm. All three take their images from a DataLoader with per-image torchvision transforms,
with 0 or 2 loader workers, whichever is faster. Equal threads, images, augmentation and network; all in one process,
interleaved. Before anything is timed both sides must give the same pixels, loss and gradients. Prints a table and,
last, one JSON line; ratios are medians over rounds of (user's time / gnexp's time).

The part norms has the step of every norm beside group normalization's, at 2 and 32 images per worker; the ratio is
(norm's time / gn's time). Before that a step by each norm's equations must give the same loss and gradients.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from step_norms import measure_norms
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from gnexp.compose.composer import Composer
from gnexp.config import RunConfig
from gnexp.config.keys import group_options
from gnexp.data.build import build_dataset
from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.generated.scenes import make_scenes
from gnexp.engine.state import State, build
from gnexp.engine.train import StepRecord, train
from gnexp.nn.norm_act import NormAct
from gnexp.system.commit import commit

CELLS = [("bn", 2), ("bn", 32), ("gn", 2), ("gn", 32)]
LOADER_WORKERS = (0, 2)
NUM_IMAGES = 4096
TOLERANCE = 1e-4  # of loss and gradients, relative to the largest gradient of a parameter
CPU = torch.device("cpu")

Burst = Callable[[float], float]  # runs steps for about so many seconds; returns seconds per step


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that takes its statistics chunk by chunk, as a user would write it."""

    num_chunks = 1

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return torch.cat(
            [super(GhostBatchNorm2d, self).forward(part) for part in input.chunk(self.num_chunks)]
        )


class Block(nn.Module):
    """A basic residual block of plain modules."""

    def __init__(self, channels_in: int, width: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or channels_in != width:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, width, 1, stride, bias=False), norm(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + identity)


class UserNet(nn.Module):
    """thin_resnet as a user would write it; the names are gnexp's, so that weights can be loaded."""

    def __init__(self, run: RunConfig, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        widths = run.model.widths
        self.conv1 = nn.Conv2d(run.data.channels, widths[0], 3, run.model.stem_stride, 1, bias=False)
        self.bn1 = norm(widths[0])
        self.relu = nn.ReLU(inplace=True)
        before = (widths[0], *widths)
        for i, width in enumerate(widths):
            self.add_module(f"layer{i + 1}", nn.Sequential(Block(before[i], width, 2 if i else 1, norm)))
        self.fc = nn.Linear(widths[-1], run.data.num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean((2, 3)))


class Scenes(Dataset[tuple[torch.Tensor, int]]):
    """The same scenes as PIL images, each augmented alone."""

    def __init__(self, run: RunConfig, *, flip: float) -> None:
        garments = load_fashion_mnist()
        self.images = make_scenes(garments.train_images[:NUM_IMAGES], run.data, "train")
        self.labels = garments.train_labels[:NUM_IMAGES].astype(int)
        self.transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(flip),
                transforms.ToTensor(),
                transforms.Normalize(run.data.mean, run.data.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


@dataclass(frozen=True)
class User:
    """One way a user would write the step."""

    name: str
    norm: Callable[[int], nn.Module]
    is_whole: bool  # one pass over the total batch, instead of one per worker


def users_of(run: RunConfig) -> list[User]:
    """The user's ways for a run's norm."""
    if run.norm.kind == "gn":
        groups = run.norm.num_groups
        assert groups is not None
        return [User("whole batch", lambda channels: nn.GroupNorm(groups, channels), True)]

    def ghost(channels: int) -> nn.Module:
        norm = GhostBatchNorm2d(channels)
        norm.num_chunks = run.workers
        return norm

    return [User("micro-batches", nn.BatchNorm2d, False), User("ghost batch norm", ghost, True)]


def accumulate(
    model: nn.Module, user: User, run: RunConfig, images: torch.Tensor, labels: torch.Tensor
) -> float:
    """A user's forward and backward passes of one step; returns the mean loss."""
    parts = 1 if user.is_whole else run.workers
    total = 0.0
    for part, target in zip(images.chunk(parts), labels.chunk(parts), strict=True):
        loss = F.cross_entropy(model(part), target) / parts
        loss.backward()
        total += loss.item()
    return total


def check_equal(state: State, user: User, scenes: npt.NDArray[np.uint8]) -> None:
    """Both sides on the same weights and images: pixels, loss and every gradient.

    The norms' gamma and beta are drawn first: a fresh block's last gamma is 0, and so is every gradient behind it.

    Raises:
        SystemExit: they differ or are not finite, so that no speed is reported.
    """
    run = state.run
    plain = replace(run.data, flip=False)
    (batch,) = build_dataset(plain, CPU).train_batches(0, 0, [np.arange(run.total_batch)])
    theirs = Scenes(run, flip=0.0)
    if not np.array_equal(theirs.images, scenes):
        raise SystemExit("the two sides do not see the same scenes")
    pixels = torch.stack([theirs[i][0] for i in range(run.total_batch)])
    state.model.train()
    state.model.zero_grad()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for norm in (module for module in state.model.modules() if isinstance(module, NormAct)):
            for parameter in norm.parameters():
                parameter.normal_(1, 0.5, generator=generator)
    loss, _ = state.task.step(state.model, batch)
    loss.backward()
    model = UserNet(run, user.norm)
    own = model.state_dict()
    weights = {k: v for k, v in state.model.state_dict().items() if k in own and v.shape == own[k].shape}
    model.load_state_dict(weights, strict=False)
    # Position p is worker p mod V's for gnexp; a user's chunks lie side by side.
    order = torch.arange(run.total_batch).view(-1, run.workers).t().reshape(-1)
    value = accumulate(model, user, run, pixels[order], batch.labels[order])
    differences = [(loss.detach() - value).abs(), (pixels - batch.images).abs().max()]
    gradients = dict(model.named_parameters())
    for name, parameter in state.model.named_parameters():
        ours, other = parameter.grad, gradients[name].grad
        assert ours is not None and other is not None
        assert ours.any(), f"the gradient of {name} is 0, so nothing is compared there"
        differences.append((ours - other).abs().max() / (other.abs().max() + 1e-6))
    worst = float(torch.stack(differences).max())
    if not worst <= TOLERANCE:  # so written, NaN is a difference
        raise SystemExit(f"{run.norm.label} at {run.batch}, {user.name}: the two sides differ by {worst:.1e}")


def timed(steps: Iterator[object]) -> Burst:
    """Times bursts of an endless iterator of steps."""

    def burst(seconds: float) -> float:
        start, done = time.perf_counter(), 0
        while done < 3 or time.perf_counter() - start < seconds:
            next(steps)
            done += 1
        return (time.perf_counter() - start) / done

    return burst


def user_steps(run: RunConfig, user: User, loader_workers: int) -> Iterator[object]:
    """A user's training loop, endless."""
    model = UserNet(run, user.norm)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=run.lr,
        momentum=run.recipe.momentum,
        nesterov=run.recipe.nesterov,
        weight_decay=run.recipe.weight_decay,
    )
    loader = DataLoader(
        Scenes(run, flip=0.5),
        batch_size=run.total_batch,
        shuffle=True,
        drop_last=True,
        num_workers=loader_workers,
        persistent_workers=loader_workers > 0,
    )
    while True:
        for images, labels in loader:
            optimizer.zero_grad()
            accumulate(model, user, run, images, labels)
            optimizer.step()
            yield None


def measure(run: RunConfig, rounds: int, seconds: float) -> list[dict[str, object]]:
    """Interleaved bursts of every way to make a cell's step; one row per user's way."""
    state = build(run, CPU)
    scenes = Scenes(run, flip=0.5).images
    users = users_of(run)
    for user in users:
        check_equal(state, user, scenes)
    bursts = {("gnexp", 0): timed(r for r in train(build(run, CPU)) if isinstance(r, StepRecord))}
    for user in users:
        for loader_workers in LOADER_WORKERS:
            bursts[user.name, loader_workers] = timed(user_steps(run, user, loader_workers))
    times: dict[tuple[str, int], list[float]] = {key: [] for key in bursts}
    for round_ in range(rounds + 1):
        for key, burst in bursts.items():
            taken = burst(seconds)
            if round_ > 0:  # the first round pays for memory, kernels and loader processes
                times[key].append(taken)
            time.sleep(0.2)  # loader workers fill their queues before the next one is timed
    rows: list[dict[str, object]] = []
    ours = times["gnexp", 0]
    for user in users:
        best = min(LOADER_WORKERS, key=lambda w: statistics.median(times[user.name, w]))
        theirs = times[user.name, best]
        ratios = sorted(a / b for a, b in zip(theirs, ours, strict=True))
        rows.append(
            {
                "norm": run.norm.label, "batch": run.batch, "workers": run.workers, "against": user.name,
                "loader_workers": best, "threads": torch.get_num_threads(),
                "user_ms": round(1e3 * statistics.median(theirs), 2),
                "gnexp_ms": round(1e3 * statistics.median(ours), 2),
                "ratio": round(statistics.median(ratios), 2),
                "ratio_low": round(ratios[0], 2), "ratio_high": round(ratios[-1], 2),
            }
        )  # fmt: skip
    return rows


def main() -> None:
    """Measures all cells and prints the table and the JSON line."""
    parser = argparse.ArgumentParser(prog="gnexp bench step", description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("users", "norms", "all"), default="all")
    parser.add_argument("--workers", type=int, default=8, help="workers, and a user's micro-batches")
    parser.add_argument("--threads", type=int, default=1, help="of either side; a sweep gives each run one")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each burst")
    options = parser.parse_args()
    if min(options.workers, options.threads, options.rounds) < 1:
        parser.error("--workers, --threads and --rounds must be at least 1")
    torch.set_num_threads(options.threads)
    composer = Composer()

    def run_of(norm: str, batch: int) -> RunConfig:
        size = [
            f"batch={batch}",
            f"workers={options.workers}",
            f"data.num_train={NUM_IMAGES}",
            "data.num_val=10",
        ]
        return composer.run([f"norm={norm}", *size, "data.sha256=null", "recipe.epochs=100000"])

    rows = []
    print(
        f"milliseconds per step, {options.workers} workers, {options.threads} thread(s); "
        f"medians of {options.rounds} rounds, ratio with its range over rounds"
    )
    if options.part != "norms":
        print(f"{'cell':8}{'against':>18}{'loader':>8}{'user':>10}{'gnexp':>10}{'ratio':>8}{'range':>14}")
    for norm, batch in CELLS if options.part != "norms" else ():
        for row in measure(run_of(norm, batch), options.rounds, options.seconds):
            rows.append(row)
            spread = f"{row['ratio_low']}-{row['ratio_high']}"
            print(
                f"{norm + ' ' + str(batch):8}{row['against']:>18}{row['loader_workers']:>8}{row['user_ms']:>10}"
                f"{row['gnexp_ms']:>10}{row['ratio']:>8}{spread:>14}",
                flush=True,
            )
    if options.part != "users":
        print(f"{'cell':16}{'gnexp':>10}{'to gn':>8}{'range':>14}")
    for batch in (2, 32) if options.part != "users" else ():
        norms = {name: run_of(name, batch) for name in group_options("norm")}
        for row in measure_norms(norms, timed, options.rounds, options.seconds):
            rows.append(row)
            spread = f"{row['to_gn_low']}-{row['to_gn_high']}"
            cell = f"{row['norm']} {batch}"
            print(f"{cell:16}{row['gnexp_ms']:>10}{row['to_gn']:>8}{spread:>14}", flush=True)
    print(
        json.dumps(
            {
                "bench": "step", "rounds": options.rounds, "cores": os.cpu_count(), "torch": torch.__version__,
                **commit(), "rows": rows,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
