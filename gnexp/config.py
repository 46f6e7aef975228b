"""The schema of conf/: frozen dataclasses, their cross-field checks, and run_id.

Every field is marked `science` (it can change a number) or `hardware` (it cannot, beyond rounding).
run_id is the hash of the science alone, so one identity serves the sweep, the run directory and the report.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from dataclasses import dataclass, field
from typing import Any

from gnexp.fields import (
    build,
    hardware_field,
    require,
    require_at_least,
    require_finite,
    require_name,
    science,
    science_field,
    to_dict,
)

__all__ = [
    "DataConfig",
    "ModelConfig",
    "NormConfig",
    "RecipeConfig",
    "RunConfig",
    "TaskConfig",
    "from_dict",
    "science",
    "to_dict",
]


@dataclass(frozen=True, kw_only=True)
class NormConfig:
    """A normalization: what it averages over, and its constants.

    LN is gn with num_groups=1 and IN is gn with channels_per_group=1 (Section 3.1), so neither has a kind of its own.
    """

    kind: str = science_field("gn")
    num_groups: int | None = science_field(None)
    channels_per_group: int | None = science_field(None)
    eps: float = science_field(1e-5)  # the paper does not state it
    # bn, brn: weight of the new batch in running statistics; not in the paper
    momentum: float | None = science_field(None)
    r_max: float | None = science_field(None)  # brn: bound of the correction of the deviation, at least 1
    d_max: float | None = science_field(None)  # brn: bound of the correction of the mean, in deviations
    # brn: epochs after which it leaves plain BN, reaches d_max and reaches r_max
    renorm_ramp: tuple[float, ...] | None = science_field(None)

    def __post_init__(self) -> None:
        require(self.eps > 0, f"norm.eps must be positive, got {self.eps}")
        require_at_least(self, 1, "norm.", "num_groups", "channels_per_group")
        for name in ("num_groups", "channels_per_group"):
            value = getattr(self, name)
            require(
                value is None or self.kind == "gn",
                f"norm.{name} is for norm=gn, got {value} with kind {self.kind}",
            )
        require(
            self.num_groups is None or self.channels_per_group is None,
            "give norm.num_groups or norm.channels_per_group, not both: "
            f"got {self.num_groups} and {self.channels_per_group}",
        )
        self._check_constants()

    def _check_constants(self) -> None:
        """A kind has the constants that it uses, and no other's."""
        of_kind = {
            "momentum": ("bn", "brn"),
            **dict.fromkeys(("r_max", "d_max", "renorm_ramp"), ("brn",)),
        }
        for name, kinds in of_kind.items():
            value = getattr(self, name)
            require(
                (value is not None) == (self.kind in kinds),
                f"norm.{name} is for norm={' and '.join(kinds)}, which need it: got {value} with kind {self.kind}",
            )
        require(
            self.momentum is None or 0 < self.momentum <= 1,
            f"norm.momentum must be in (0, 1], got {self.momentum}",
        )
        require(self.r_max is None or self.r_max >= 1, f"norm.r_max must be at least 1, got {self.r_max}")
        require_at_least(self, 0, "norm.", "d_max")
        ramp = self.renorm_ramp
        require(
            ramp is None or (len(ramp) == 3 and 0 <= ramp[0] < min(ramp[1:])),
            "norm.renorm_ramp must be three epochs, the first the smallest: the end of plain BN, d_max reached, "
            f"r_max reached; got {ramp}",
        )

    @property
    def label(self) -> str:
        """Short name in run directories and tables: bn, brn, ln, in, gn8, gnc16, none."""
        if self.kind != "gn":
            return self.kind
        if self.num_groups == 1:
            return "ln"
        if self.channels_per_group == 1:
            return "in"
        return f"gn{self.num_groups}" if self.channels_per_group is None else f"gnc{self.channels_per_group}"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A network's shape and its initialisation."""

    name: str = hardware_field("thin_resnet")
    kind: str = science_field("resnet")
    block: str = science_field("basic")  # basic | bottleneck
    blocks: tuple[int, ...] = science_field((1, 1, 1, 1))  # per stage; of a vgg its convolutions
    widths: tuple[int, ...] = science_field((16, 32, 64, 128))
    stem: str = science_field("conv3x3")  # conv3x3 | conv7x7_pool
    stem_stride: int = science_field(2)
    # what norm=gn takes when it names no grouping; resolved before hashing
    default_num_groups: int = hardware_field(8)
    zero_init_last: bool = science_field(True)  # gamma 0 in each block's last norm (Section 4.1)
    init_mode: str = science_field("fan_out")  # He initialisation; the code that the paper follows
    # vgg: side of the map that the classifier takes, widths of its hidden layers, and their dropout
    classifier_pool: int | None = science_field(None)
    classifier_widths: tuple[int, ...] | None = science_field(None)
    dropout: float | None = science_field(None)
    classifier_std: float = science_field(0.01)  # the paper does not state it; the author's code

    def __post_init__(self) -> None:
        require_name("model.name", self.name)
        for key in ("blocks", "widths", "classifier_widths"):
            values = getattr(self, key) or ()
            require(min(values, default=1) >= 1, f"model.{key} must be at least 1 each, got {values}")
        require_at_least(self, 1, "model.", "stem_stride", "default_num_groups", "classifier_pool")
        require_at_least(self, 0, "model.", "classifier_std")
        for name in ("classifier_pool", "classifier_widths", "dropout"):
            require(
                (getattr(self, name) is not None) == (self.kind == "vgg"),
                f"model.{name} is for kind vgg, which needs it: got {getattr(self, name)} with kind {self.kind}",
            )
        require(
            self.dropout is None or 0 <= self.dropout < 1,
            f"model.dropout must be in [0, 1), got {self.dropout}",
        )
        require(
            len(self.blocks) == len(self.widths) and len(self.blocks) >= 1,
            f"model.blocks and model.widths must have one entry per stage, got {self.blocks} and {self.widths}",
        )
        require(
            self.block in ("basic", "bottleneck"),
            f"model.block must be basic or bottleneck, got {self.block}",
        )
        require(
            self.stem in ("conv3x3", "conv7x7_pool"),
            f"model.stem must be conv3x3 or conv7x7_pool, got {self.stem}",
        )
        require(
            self.init_mode in ("fan_out", "fan_in"),
            f"model.init_mode must be fan_out or fan_in, got {self.init_mode}",
        )


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A data set: where its images come from and how training images are augmented."""

    name: str = science_field("fashion_scenes")
    kind: str = science_field("fashion_scenes")
    image_size: int = science_field(32)
    channels: int = science_field(1)
    num_classes: int = science_field(10)
    num_train: int | None = science_field(None)  # images; None = all
    num_val: int | None = science_field(None)
    # fashion kinds: test | train (train = held-out training garments)
    val_source: str | None = science_field(None)
    mean: tuple[float, ...] = science_field((0.5,))  # of pixel values in [0, 1], one per channel
    std: tuple[float, ...] = science_field((0.25,))
    flip: bool = science_field(True)
    shift: int = science_field(0)  # largest random translation in pixels, edges repeated
    # fashion_scenes: spread of each scene's own exposure, 0 = none, 1 = full
    exposure: float | None = science_field(None)
    clutter: int | None = science_field(None)  # fashion_scenes: pieces of other garments per scene
    # imagefolder: random-resized crop, share of the area
    crop_area: tuple[float, ...] | None = science_field(None)
    crop_aspect: tuple[float, ...] | None = science_field(None)
    jitter: float | None = science_field(None)  # imagefolder: brightness, contrast and saturation strength
    lighting: float | None = science_field(None)  # imagefolder: PCA lighting strength
    eval_resize: int | None = science_field(None)  # imagefolder: shorter side before the centre crop
    sha256: str | None = science_field(None)  # of generated images; checked when they are made
    root: str | None = hardware_field(None)
    loader_workers: int = hardware_field(2)  # decoding processes; in-memory data uses none

    def __post_init__(self) -> None:
        require_name("data.name", self.name)
        require_at_least(self, 1, "data.", "image_size", "num_classes", "channels", "num_train", "num_val")
        require_at_least(self, 0, "data.", "shift", "clutter", "loader_workers")
        require(
            len(self.mean) == len(self.std) == self.channels,
            f"data.mean and data.std need {self.channels} value(s), one per channel, got {self.mean} and {self.std}",
        )
        require(min(self.std) > 0, f"data.std must be positive, got {self.std}")
        require(
            self.exposure is None or 0 <= self.exposure <= 1,
            f"data.exposure must be in [0, 1], got {self.exposure}",
        )
        require(
            self.val_source in (None, "test", "train"),
            f"data.val_source must be test or train, got {self.val_source}",
        )


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What loss and score mean."""

    kind: str = science_field("classification")


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """How a model is trained: one recipe for every norm and every batch size."""

    name: str = hardware_field("small")
    version: int = science_field(1)  # raised when a change of the numerics moves results
    epochs: int = science_field(8)
    base_lr: float = science_field(0.1)
    base_total_batch: int = science_field(256)  # lr = base_lr * total_batch / base_total_batch
    schedule: str = science_field("linear")  # step | linear
    # step: epochs after which lr is multiplied by drop_factor
    milestones: tuple[int, ...] | None = science_field(None)
    drop_factor: float | None = science_field(None)
    warmup_epochs: int = science_field(0)  # the paper mentions none
    momentum: float = science_field(0.9)
    nesterov: bool = science_field(True)
    weight_decay: float = science_field(1e-4)
    # of gamma and beta; None = weight_decay, as the paper has it
    norm_weight_decay: float | None = science_field(None)
    report_epochs: int = science_field(1)  # reported error = median over the last report_epochs epochs
    precise_images: int | None = science_field(None)  # training images behind eval_stats=precise; None = all

    def __post_init__(self) -> None:
        require_name("recipe.name", self.name)
        require(0 <= self.momentum < 1, f"recipe.momentum must be in [0, 1), got {self.momentum}")
        require(
            self.momentum > 0 or not self.nesterov,
            "recipe.nesterov=true needs recipe.momentum above 0, got 0; give recipe.nesterov=false",
        )
        require_at_least(self, 0, "recipe.", "weight_decay", "norm_weight_decay")
        require_at_least(self, 1, "recipe.", "precise_images", "epochs", "base_total_batch")
        require(self.base_lr > 0, f"recipe.base_lr must be positive, got {self.base_lr}")
        require(
            1 <= self.report_epochs <= self.epochs,
            f"recipe.report_epochs must be between 1 and recipe.epochs={self.epochs}, got {self.report_epochs}",
        )
        require(
            self.schedule in ("step", "linear"),
            f"recipe.schedule must be step or linear, got {self.schedule}",
        )
        require(
            (self.schedule == "step") == (self.milestones is not None and self.drop_factor is not None),
            "recipe.milestones and recipe.drop_factor belong to schedule=step, and to it alone: "
            f"got {self.milestones} and {self.drop_factor} with schedule {self.schedule}",
        )
        require(
            0 <= self.warmup_epochs < self.epochs,
            f"recipe.warmup_epochs must be below recipe.epochs={self.epochs}, got {self.warmup_epochs}",
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: a cell of a grid and a seed, with the hardware choices that carry it out."""

    norm: NormConfig = field(default_factory=NormConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    recipe: RecipeConfig = field(default_factory=RecipeConfig)
    batch: int = science_field(32)  # images per worker
    workers: int = science_field(8)
    seed: int = science_field(0)
    scale: str = hardware_field("small")  # a name; what it chose is in the other fields
    device: str = hardware_field("auto")  # auto | cpu | cuda | cuda:N
    threads: int | None = hardware_field(
        None
    )  # of one training process; None = what the launcher leaves free
    memory_format: str = hardware_field("contiguous")  # contiguous | channels_last

    def __post_init__(self) -> None:
        require_finite(self)
        require(self.batch >= 1, f"batch must be at least 1 image per worker, got {self.batch}")
        require_at_least(self, 1, "", "workers", "threads")
        require(0 <= self.seed < 2**63, f"seed must not be negative or above 2^63 - 1, got {self.seed}")
        require(
            self.memory_format in ("contiguous", "channels_last"),
            f"memory_format must be contiguous or channels_last, got {self.memory_format}",
        )
        require(
            self.device in ("auto", "cpu", "cuda") or self.device.removeprefix("cuda:").isdigit(),
            f"device must be auto, cpu, cuda or cuda:N, got {self.device}",
        )
        if self.norm.kind == "gn" and self.norm.num_groups is None and self.norm.channels_per_group is None:
            # Resolved here, before any hash, so that gn and gn with the same number spelled out are one run.
            norm = dataclasses.replace(self.norm, num_groups=self.model.default_num_groups)
            object.__setattr__(self, "norm", norm)

    @property
    def total_batch(self) -> int:
        """Images per step, over all workers."""
        return self.batch * self.workers

    @property
    def lr(self) -> float:
        """Initial learning rate: 0.1 * N / 32 of Section 4.1 at 8 workers, generalised to any number of workers."""
        return self.recipe.base_lr * self.total_batch / self.recipe.base_total_batch

    @property
    def run_id(self) -> str:
        """First 12 hex digits of the sha256 of the canonical JSON of the science."""
        text = json.dumps(science(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def label(self) -> str:
        """Readable half of the run directory's name, from resolved fields only."""
        return f"{self.data.name}-{self.model.name}-{self.norm.label}-batch{self.batch}-seed{self.seed}"


def from_dict(values: dict[str, Any]) -> RunConfig:
    """Builds a RunConfig from plain values (a composed config or a spec.json).

    Raises:
        ValueError: an unknown key, or a cross-field check that fails.
    """
    return typing.cast(RunConfig, build(RunConfig, values))
