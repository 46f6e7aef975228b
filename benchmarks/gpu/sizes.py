"""How large each part is on a GPU, and how small on a CPU, where it is rehearsed. Nothing else tells the two apart."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ops_gpu import SETTINGS, Setting
from ops_rows import Row, resnet50_rows

# The devices by torch's name: what a part is told is the device and the seconds that it has.
CUDA, CPU = "cuda", "cpu"


@dataclass(frozen=True)
class Sizes:
    """What the parts take."""

    repeats: int  # of a timed call
    compiler: str  # torch.compile's backend; the CPU's inductor would need a C++ compiler
    compile_seconds: float  # that compiling a network takes, at least
    test_processes: int
    op_shapes: tuple[Row, ...]
    op_settings: dict[Setting, float]
    step_words: tuple[str, ...]  # of a run: its network, its workers
    step_image: int  # pixels
    step_batches: tuple[int, ...]  # images of a worker; the first is the one that is compared with float64
    train_norms: tuple[str, ...]
    train_words: tuple[str, ...]  # beside norm and batch
    profiled_steps: int
    resume_words: tuple[str, ...]
    resume_kill: int  # steps that must be in a checkpoint before the kill
    detection_words: tuple[str, ...]
    video_words: tuple[str, ...]


# A run that is killed after some tens of steps of an epoch, and goes through a second one.
_RESUME = ("scale=smoke", "norm=gn", "batch=2", "seed=0", "threads=1", "checkpoint_minutes=0")

GPU_SIZES = Sizes(
    repeats=20,
    compiler="inductor",
    compile_seconds=45.0,
    test_processes=min(8, os.cpu_count() or 1),
    op_shapes=tuple(resnet50_rows(32)),
    op_settings=SETTINGS,
    step_words=("scale=paper", "model=resnet50", "precision=bf16", "workers=8"),
    step_image=224,
    step_batches=(2, 32),
    train_norms=("bn", "gn"),
    train_words=("recipe.epochs=1", "seed=0", "threads=1"),
    profiled_steps=50,
    resume_words=(*_RESUME, "data.num_train=1600"),
    resume_kill=60,
    detection_words=("experiment=coco_fpn", "scale=smoke"),
    video_words=("experiment=kinetics", "scale=smoke", "batch=4"),
)

CPU_SIZES = Sizes(
    repeats=2,
    compiler="aot_eager",
    compile_seconds=0.0,
    test_processes=0,
    op_shapes=(Row("resnet50", (1, 8, 2, 2), 2, True),),
    op_settings=SETTINGS,
    step_words=(
        "scale=smoke", "precision=bf16", "workers=2", "model.blocks=[1]", "model.widths=[8]",
        "model.default_num_groups=2",
    ),
    step_image=16,
    step_batches=(1,),
    train_norms=("gn",),
    train_words=("scale=smoke", "recipe.epochs=1", "seed=0", "threads=1", "data.num_train=64", "data.num_val=40"),
    profiled_steps=3,
    resume_words=(*_RESUME, "data.num_train=64", "data.num_val=40"),
    resume_kill=5,
    detection_words=(
        "experiment=coco_fpn", "scale=smoke", "threads=1", "data.num_train=8", "data.num_val=2", "recipe.epochs=1",
        "recipe.epoch_steps=1",
    ),
    video_words=(
        "experiment=kinetics", "scale=smoke", "batch=4", "threads=1", "data.num_train=8", "data.num_val=8",
        "recipe.epochs=1",
    ),
)  # fmt: skip

SIZES = {CUDA: GPU_SIZES, CPU: CPU_SIZES}
