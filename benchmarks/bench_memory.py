"""How much memory do photographs take that are large, crowded or narrow, beyond the network and an ordinary image?

    gnexp bench memory [--instances 400] [--height 2448] [--width 3264]

Each row is a process of its own, on the CPU and without loader processes, so that all of its memory is counted: a row's
number is the peak of its resident memory beyond the one before the image came, when torch, the network and an image of
64 x 64 pixels with one instance had been used. The detector is thin_mask_rcnn at 128 pixels; its image is noise, its
instances are squares of 16 to 64 pixels as polygons. The last row is evaluation's crop of 224 pixels of a class
folder's image of 1 x 4000 pixels.
Prints a table and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gnexp.compose.composer import Composer
from gnexp.data.images.decode import center_crop
from gnexp.engine.evaluate import measure_val
from gnexp.engine.state import State, build
from gnexp.engine.train import train
from gnexp.system.commit import commit

ROWS = ("a training step", "evaluation", "a picture of detections", "a crop of 1 x 4000 pixels")


def write_set(root: Path, *, height: int, width: int, instances: int) -> None:
    """A set in COCO's layout of one image, the same in train and in val."""
    rng = np.random.default_rng(0)
    annotations = []
    for number in range(1, instances + 1):
        side = int(rng.integers(16, 65)) if min(height, width) > 64 else 16
        x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
        outline = [x, y, x + side, y, x + side, y + side, x, y + side]
        annotations.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": 1,
                "bbox": [x, y, side, side],
                "area": side * side,
                "iscrowd": 0,
                "segmentation": [outline],
            }
        )
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": height, "width": width}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "square"}],
    }
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    (root / "annotations").mkdir(parents=True)
    for folder in ("train2017", "val2017"):
        (root / folder).mkdir()
        Image.fromarray(pixels).save(root / folder / "1.jpg")
        path = root / "annotations" / f"instances_{folder}.json"
        path.write_text(json.dumps(content), encoding="utf-8")


def detector(root: Path, pixels: int) -> State:
    """thin_mask_rcnn at `pixels` on a set of write_set, one image a step."""
    words = [
        "experiment=coco_fpn",
        "scale=smoke",
        "init=null",
        "norm=gn",
        "batch=1",
        "workers=1",
        "device=cpu",
    ]
    data = [
        "data=coco",
        f"data.root={root}",
        "data.name=squares",
        "data.num_classes=1",
        "data.loader_workers=0",
    ]
    data += ["data.num_train=null", "data.num_val=null", "data.channels=3", "data.sha256=null"]
    sizes = [f"data.image_size={pixels}", f"data.min_size={pixels}", f"data.max_size={2 * pixels}"]
    composer = Composer()
    return build(composer.run(composer.flatten([*words, *data, *sizes])), torch.device("cpu"))


def peak() -> int:
    """Bytes of resident memory, the most so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def work_of(row: str, root: Path, pixels: int) -> Callable[[], object]:
    """A row's work on the images of a folder."""
    if row == ROWS[3]:
        return lambda: center_crop(str(root / "narrow.png"), 256, 224)
    state = detector(root, pixels)
    if row == ROWS[0]:
        return lambda: next(train(state))
    state.model.roi_heads.score_thresh = -1.0  # type: ignore[union-attr]  # as many detections as there may be
    if row == ROWS[1]:
        return lambda: measure_val(state, "worker0", 1)
    state.model.eval()

    def draw() -> None:
        (batch,) = state.dataset.val_batches([np.arange(1)])
        for _ in state.task.draw(state.model, batch, state.dataset):
            pass

    return draw


def measure(row: str, small: Path, large: Path, pixels: int) -> dict[str, float]:
    """Peak memory, MB, and seconds of a row's work on the measured image."""
    torch.set_num_threads(1)
    warm, work = (work_of(row, root, pixels) for root in (small, large))
    warm()
    before, start = peak(), time.perf_counter()
    work()
    return {"megabytes": round((peak() - before) / 1e6), "seconds": round(time.perf_counter() - start, 2)}


def main() -> None:
    """Writes the images, has each row measured in a process of its own, prints the table and the JSON line."""
    parser = argparse.ArgumentParser(prog="gnexp bench memory", description=__doc__.splitlines()[0])
    parser.add_argument("--instances", type=int, default=400)
    parser.add_argument("--height", type=int, default=2448)
    parser.add_argument("--width", type=int, default=3264)
    parser.add_argument("--pixels", type=int, default=128, help="what the shorter side is resized to")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--folders", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(json.dumps(measure(options.row, *options.folders, options.pixels)))
        return
    if min(options.instances, options.pixels) < 1 or min(options.height, options.width) < 16:
        parser.error("--instances and --pixels must be at least 1, --height and --width at least 16")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small"), Path(folder, "large")
        write_set(small, height=64, width=64, instances=1)
        write_set(large, height=options.height, width=options.width, instances=options.instances)
        Image.new("RGB", (64, 64)).save(small / "narrow.png")
        Image.new("RGB", (1, 4000)).save(large / "narrow.png")
        for row in ROWS:
            command = [sys.executable, __file__, "--row", row, "--folders", str(small), str(large)]
            done = subprocess.run(
                [*command, "--pixels", str(options.pixels)], stdout=subprocess.PIPE, text=True
            )
            # What the system ends for want of memory has no number.
            found = json.loads(done.stdout) if done.returncode == 0 else {"megabytes": None, "seconds": None}
            rows.append({"what": row, **found})
    code = commit()
    print(
        f"an image of {options.height} x {options.width} pixels with {options.instances} instances, at "
        f"{options.pixels} pixels; torch {torch.__version__}, commit {code['commit']}"
        f"{' with changes' if code['dirty'] else ''}\n\n| what | peak memory, MB | seconds |\n|---|---|---|"
    )
    for found in rows:
        print(f"| {found['what']} | {found['megabytes']} | {found['seconds']} |")
    print(json.dumps({"bench": "memory", **{k: v for k, v in vars(options).items() if k not in ("row", "folders")},
                      "torch": torch.__version__, **code, "rows": rows}))  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
