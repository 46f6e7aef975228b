"""How many photographs a second does one core make ready for training, against torchvision's pipeline?

    gnexp bench loader [--images 256] [--quality 90] [--rounds 7]

One process, one thread. gnexp's side is ImageFolder.train_batches without loader processes, in steps of 32: reading,
decoding, crop, resize, flip, and on the CPU too what a GPU would do, the affine map of jitter, lighting and
normalization. The reference is what most write: torchvision's ImageFolder with RandomResizedCrop (bicubic),
ColorJitter, flip, ToTensor and Normalize, stacked in batches of 32; it has no lighting. Same files, interleaved in a
rotating order. Before anything is timed, gnexp's images must equal a step-by-step way to make them, in float64, and
its crops torchvision's on the same boxes. The photographs are those in scikit-learn's and scikit-image's wheels,
re-saved as JPEG in ImageNet's sizes.
Prints a table and, last, one JSON line; ratios are medians over rounds.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from photographs import save_photographs
from PIL import features
from torchvision import __version__ as torchvision_version
from torchvision import datasets, transforms
from torchvision.transforms import functional as tv

from gnexp.compose.composer import Composer
from gnexp.config import DataConfig
from gnexp.data.build import build_dataset
from gnexp.data.dataset import Batch, Dataset
from gnexp.data.images.color import augment_color, draw_color
from gnexp.data.images.decode import NUM_CROP_DRAWS, crop_box, read_image
from gnexp.data.images.imagefolder import ImageFolder
from gnexp.ops import keyed
from gnexp.system.commit import commit

BATCH = 32
TOLERANCE = 1e-4  # of normalized values, in float32
RESIZE_TOLERANCE = 0.3  # levels of 255, mean: two 8-bit resizings differ by rounding; a wrong box by several
CPU = torch.device("cpu")
BASELINE = "torchvision, with jitter"

Pass = Callable[[int], object]  # takes all images once, in the given epoch


def config_of(root: Path, *overrides: str) -> DataConfig:
    """data=imagenet on the photographs, decoded in this process."""
    words = ["data=imagenet", f"data.root={root}", "data.name=photographs", "data.num_classes=2"]
    return Composer().run([*words, "data.loader_workers=0", *overrides]).data


def check(dataset: Dataset, config: DataConfig, paths: list[str], num: int = 64) -> None:
    """Images of the timed data set against those made one by one and step by step.

    Raises:
        SystemExit: they differ or are not finite, so that no speed is reported.
    """
    indices = np.arange(min(num, len(paths)))
    (batch,) = dataset.train_batches(3, 1, [indices])
    plain = ImageFolder(config_of(Path(config.root or ""), "data.jitter=null", "data.lighting=null"), CPU)
    (cropped,) = plain.train_batches(3, 1, [indices])
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (config.mean, config.std))
    levels = (cropped.images.double() * std + mean) * 255
    draws = draw_color(3, 1, indices, jitter=config.jitter or 0, lighting=config.lighting or 0)
    expected = (augment_color(levels.round() / 255, draws) - mean) / std
    worst = float((batch.images - expected).abs().max())
    if not worst <= TOLERANCE:  # so written, NaN is a difference
        raise SystemExit(f"the affine map and the steps differ by {worst:.1e}")
    assert config.crop_area is not None and config.crop_aspect is not None
    for i, row in enumerate(keyed.uniform(3, "augment", 1, indices, NUM_CROP_DRAWS)):
        image = read_image(paths[i])
        left, top, right, bottom = crop_box(*image.size, row[1:], config.crop_area, config.crop_aspect)
        size = [config.image_size, config.image_size]
        crop = tv.resized_crop(
            image, top, left, bottom - top, right - left, size, tv.InterpolationMode.BICUBIC
        )
        crop = tv.hflip(crop) if config.flip and row[0] < 0.5 else crop
        difference = float((levels[i] - 255 * tv.to_tensor(crop).double()).abs().mean())
        if not difference <= RESIZE_TOLERANCE:
            raise SystemExit(f"the crops of {paths[i]} differ by {difference:.2f} levels in the mean")


def gnexp_pass(dataset: Dataset, num: int) -> Pass:
    """Every image once, through the data set that training uses."""

    def run(epoch: int) -> None:
        steps = [np.arange(start, min(start + BATCH, num)) for start in range(0, num, BATCH)]
        for batch in dataset.train_batches(0, epoch, steps):
            assert isinstance(batch, Batch)

    return run


def reference_pass(root: Path, config: DataConfig, *, has_jitter: bool) -> Pass:
    """Every image once, as torchvision's users write it."""
    strength = config.jitter or 0
    jitter = [transforms.ColorJitter(strength, strength, strength)] if has_jitter else []
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                config.image_size, interpolation=transforms.InterpolationMode.BICUBIC
            ),
            *jitter,
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(config.mean, config.std),
        ]
    )
    images = datasets.ImageFolder(str(root / "train"), transform)

    def run(epoch: int) -> None:
        torch.manual_seed(epoch)
        for numbers in batched(range(len(images))):
            torch.stack([images[number][0] for number in numbers])

    return run


def batched(numbers: range) -> Iterator[list[int]]:
    """Lists of BATCH numbers."""
    numbers_left = iter(numbers)
    while part := list(itertools.islice(numbers_left, BATCH)):
        yield part


def decode_all(paths: list[str], epoch: int) -> None:
    """Whole decoding to RGB alone: what both sides pay."""
    for path in paths:
        read_image(path)


def measure(passes: dict[str, Pass], num: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each way over all images, interleaved; images per CPU second of each round."""
    rates: dict[str, list[float]] = {name: [] for name in passes}
    for round_ in range(rounds + 1):
        names = list(passes)
        first = round_ % len(names)  # who comes after whom must not matter
        for name in names[first:] + names[:first]:
            start = time.process_time()
            passes[name](round_)
            if round_ > 0:  # the first round pays for memory, imports and the file cache
                rates[name].append(num / (time.process_time() - start))
    return rates


def rows_of(rates: dict[str, list[float]]) -> list[dict[str, object]]:
    """A row per way, with its ratio to the reference with jitter."""
    rows: list[dict[str, object]] = []
    for name, found in rates.items():
        ratios = sorted(a / b for a, b in zip(found, rates[BASELINE], strict=True))
        rows.append(
            {
                "pipeline": name, "images_per_second_per_core": round(statistics.median(found)),
                "low": round(min(found)), "high": round(max(found)), "ratio": round(statistics.median(ratios), 2),
                "ratio_low": round(ratios[0], 2), "ratio_high": round(ratios[-1], 2),
            }
        )  # fmt: skip
    return rows


def processor() -> str:
    """The machine's processor, as Linux names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Makes the photographs, checks, measures, and prints the table and the JSON line."""
    parser = argparse.ArgumentParser(prog="gnexp bench loader", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--quality", type=int, default=90, help="of the JPEG files; 97 makes 80 KB each")
    parser.add_argument(
        "--enlarge", type=int, default=1, help="factor of the files' sides: scaled decoding needs >1"
    )
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if min(options.images, options.rounds, options.enlarge) < 1 or not 1 <= options.quality <= 100:
        parser.error("--images, --rounds and --enlarge must be at least 1, --quality from 1 to 100")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        counts = {"train": options.images, "val": 2}
        save_photographs(root, counts, quality=options.quality, enlarge=options.enlarge)
        paths = sorted(str(path) for path in (root / "train").glob("*/*.jpg"))
        size = statistics.mean(os.path.getsize(path) for path in paths)
        pixels = statistics.mean(math.prod(read_image(path).size) for path in paths)
        config = config_of(root)
        exact = build_dataset(config, CPU)
        check(exact, config, paths)
        scaled = build_dataset(config_of(root, "data.decoder=scaled"), CPU)
        num = len(paths)
        passes = {
            "gnexp, exact": gnexp_pass(exact, num),
            "gnexp, decoder=scaled": gnexp_pass(scaled, num),
            BASELINE: reference_pass(root, config, has_jitter=True),
            "torchvision, without jitter": reference_pass(root, config, has_jitter=False),
            "decoding alone": functools.partial(decode_all, paths),
        }
        rows = rows_of(measure(passes, num, options.rounds))
    code = commit()
    print(
        f"images per second of one core; {num} photographs of {pixels / 1e3:.0f} thousand pixels and "
        f"{size / 1e3:.0f} KB in the mean (quality {options.quality}); medians of {options.rounds} interleaved rounds\n"
        f"{processor()}, torch {torch.__version__}, torchvision {torchvision_version}, commit {code['commit']}"
        f"{' with changes' if code['dirty'] else ''}\n"
    )
    print(
        "| pipeline | images/s/core | range | ratio to the reference with jitter | range |\n|---|---|---|---|---|"
    )
    for row in rows:
        print(
            f"| {row['pipeline']} | {row['images_per_second_per_core']} | {row['low']}-{row['high']} | {row['ratio']} "
            f"| {row['ratio_low']}-{row['ratio_high']} |"
        )
    print(
        json.dumps(
            {
                "bench": "loader", "images": num, "quality": options.quality, "mean_bytes": round(size),
                "mean_pixels": round(pixels), "rounds": options.rounds, "machine": processor(),
                "torch": torch.__version__, "torchvision": torchvision_version,
                "libjpeg_turbo": features.version("libjpeg_turbo"), **code, "rows": rows,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
