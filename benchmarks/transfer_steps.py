"""The process of gnexp bench transfer that trains, by the gnexp of the tree that it is started for.

A question and an answer a line, in JSON: the name of a cell, how many steps, and whether they are profiled; then the
seconds of a step, or the shares of operators. The first answer about a cell is its run's id.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping

import torch
from torch.profiler import ProfilerActivity, profile

from gnexp.compose.composer import Composer
from gnexp.engine.state import build
from gnexp.engine.train import StepRecord, train

DETECTOR = [
    "scale=small", "task.kind=detection", "data=fashion_coco", "recipe=small_coco", "batch=2", "model.freeze_at=2",
]  # fmt: skip
PYRAMID = ["model=thin_mask_rcnn", "model.fpn_norm=same", "model.box_norm=same", "model.mask_norm=same"]
VIDEO = ["scale=small", "task.kind=video", "model=thin_i3d", "data=fashion_clips", "recipe=small_kinetics"]
CELLS = {
    "Table 6, GN": [*DETECTOR, *PYRAMID, "model.box_head=4conv1fc", "norm=gn"],
    "Table 6, BN": [*DETECTOR, *PYRAMID, "model.box_head=4conv1fc", "norm=bn"],
    "Table 6, BN*": [*DETECTOR, *PYRAMID, "model.box_head=2fc", "norm=frozen_bn"],
    "Table 4, GN": [*DETECTOR, "model=thin_mask_rcnn_c4", "norm=gn"],
    "Table 4, BN*": [*DETECTOR, "model=thin_mask_rcnn_c4", "norm=frozen_bn"],
    "Table 8, GN": [*VIDEO, "batch=8", "norm=gn"],
    "Table 8, BN": [*VIDEO, "batch=8", "norm=bn"],
}
NUM_PICTURES = 128
# Nothing is scored between the steps that are timed, and no weight moves.
QUIET = [
    f"data.num_train={NUM_PICTURES}", "data.num_val=8", "data.sha256=null",
    "recipe.epochs=1000", "recipe.eval_every=1000", "recipe.base_lr=1e-9",
]  # fmt: skip
GROUPS = {
    "convolutions": ("conv",),
    "RoIAlign": ("roi_align", "gather", "embedding"),
    "norms": ("group_norm", "batch_norm", "GroupNorm", "BatchNorm"),
    "NMS": ("nms",),
}  # a group's operators have one of these in their names


def main(root: str) -> None:
    """Answers until there is no question left; data is generated under `root`."""
    torch.set_num_threads(1)
    composer, steps = Composer(), {}
    for line in sys.stdin:
        name, num, is_profiled = json.loads(line)
        if name in steps:
            answer: object = _take(steps[name], num, is_profiled=is_profiled)
        else:
            run = composer.run([*CELLS[name], *QUIET, f"data.root={root}"])
            records = train(build(run, torch.device("cpu")))
            steps[name] = (record for record in records if isinstance(record, StepRecord))
            one_pass = NUM_PICTURES // run.total_batch  # in which videos are decoded
            for _ in range(one_pass + 1):
                next(steps[name])
            answer = run.run_id
        print(json.dumps(answer), flush=True)


def _take(steps: Iterator[object], num: int, *, is_profiled: bool) -> float | dict[str, float]:
    """Seconds of processor time a step, or the shares of groups of operators in their time."""
    with _profiler(is_profiled) as profiler:
        start = time.process_time()
        for _ in range(num):
            next(steps)
        seconds = (time.process_time() - start) / num
    if profiler is None:
        return seconds
    return shares_of({event.key: event.self_cpu_time_total for event in profiler.key_averages()})


@contextlib.contextmanager
def _profiler(is_profiled: bool) -> Iterator[profile | None]:
    if not is_profiled:
        yield None
        return
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        yield profiler


def shares_of(spent: Mapping[str, float]) -> dict[str, float]:
    """The share of each group in the time that operators took, by the wall clock, and of all others."""
    total, shares = sum(spent.values()), dict.fromkeys([*GROUPS, "others"], 0.0)
    for operator, value in spent.items():
        group = next((g for g, words in GROUPS.items() if any(w in operator for w in words)), "others")
        shares[group] += value / total
    return {group: round(share, 3) for group, share in shares.items()}


if __name__ == "__main__":
    main(sys.argv[1])
