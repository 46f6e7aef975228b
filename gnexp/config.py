"""The schema of conf/: frozen dataclasses, their cross-field checks, and run_id.

Every field is marked `science` (it can change a number) or `hardware` (it cannot, beyond rounding).
run_id is the hash of the science alone, so one identity serves the sweep, the run directory and the report.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing
from dataclasses import dataclass, field
from typing import Any

_REQUIRED = dataclasses.MISSING


def _science(default: Any = _REQUIRED) -> Any:
    return field(default=default, metadata={"part": "science"})


def _hardware(default: Any = _REQUIRED) -> Any:
    return field(default=default, metadata={"part": "hardware"})


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _require_at_least(config: Any, lowest: int, prefix: str, *names: str) -> None:
    """Checks the numbers among some fields of a config; None is no number."""
    bound = "must not be negative" if lowest == 0 else f"must be at least {lowest}"
    for name in names:
        value = getattr(config, name)
        _require(value is None or value >= lowest, f"{prefix}{name} {bound}, got {value}")


def _require_name(key: str, name: str) -> None:
    """A name becomes part of a run directory's name, which must stay one folder."""
    _require(
        re.fullmatch(r"\w[\w.-]*", name) is not None,
        f"{key} may hold letters, digits, '.', '_' and '-' and start with a letter, digit or '_', got {name!r}",
    )


@dataclass(frozen=True, kw_only=True)
class NormConfig:
    """A normalization: what it averages over, and its constants.

    LN is gn with num_groups=1 and IN is gn with channels_per_group=1 (Section 3.1), so neither has a kind of its own.
    """

    kind: str = _science("gn")
    num_groups: int | None = _science(None)
    channels_per_group: int | None = _science(None)
    eps: float = _science(1e-5)  # the paper does not state it
    # BN: weight of the new batch in running statistics; not in the paper
    momentum: float | None = _science(None)

    def __post_init__(self) -> None:
        _require(self.eps > 0, f"norm.eps must be positive, got {self.eps}")
        _require_at_least(self, 1, "norm.", "num_groups", "channels_per_group")
        for name in ("num_groups", "channels_per_group"):
            value = getattr(self, name)
            _require(
                value is None or self.kind == "gn",
                f"norm.{name} is for norm=gn, got {value} with kind {self.kind}",
            )
        _require(
            self.num_groups is None or self.channels_per_group is None,
            "give norm.num_groups or norm.channels_per_group, not both: "
            f"got {self.num_groups} and {self.channels_per_group}",
        )
        if self.kind == "bn":
            _require(
                self.momentum is not None and 0 < self.momentum <= 1,
                f"norm.momentum must be in (0, 1] for bn, got {self.momentum}",
            )
        else:
            _require(
                self.momentum is None,
                f"norm.momentum is for norm=bn, got {self.momentum} with kind {self.kind}",
            )

    @property
    def label(self) -> str:
        """Short name in run directories and tables: bn, ln, in, gn8, gnc16, none."""
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

    name: str = _hardware("thin_resnet")
    kind: str = _science("resnet")
    block: str = _science("basic")  # basic | bottleneck
    blocks: tuple[int, ...] = _science((1, 1, 1, 1))
    widths: tuple[int, ...] = _science((16, 32, 64, 128))
    stem: str = _science("conv3x3")  # conv3x3 | conv7x7_pool
    stem_stride: int = _science(2)
    # what norm=gn takes when it names no grouping; resolved before hashing
    default_num_groups: int = _hardware(8)
    zero_init_last: bool = _science(True)  # gamma 0 in each block's last norm (Section 4.1)
    init_mode: str = _science("fan_out")  # He initialisation; the code that the paper follows
    classifier_std: float = _science(0.01)  # the paper does not state it; the author's code

    def __post_init__(self) -> None:
        _require_name("model.name", self.name)
        for key, values in (("blocks", self.blocks), ("widths", self.widths)):
            _require(min(values, default=1) >= 1, f"model.{key} must be at least 1 each, got {values}")
        _require_at_least(self, 1, "model.", "stem_stride", "default_num_groups")
        _require_at_least(self, 0, "model.", "classifier_std")
        _require(
            len(self.blocks) == len(self.widths) and len(self.blocks) >= 1,
            f"model.blocks and model.widths must have one entry per stage, got {self.blocks} and {self.widths}",
        )
        _require(
            self.block in ("basic", "bottleneck"),
            f"model.block must be basic or bottleneck, got {self.block}",
        )
        _require(
            self.stem in ("conv3x3", "conv7x7_pool"),
            f"model.stem must be conv3x3 or conv7x7_pool, got {self.stem}",
        )
        _require(
            self.init_mode in ("fan_out", "fan_in"),
            f"model.init_mode must be fan_out or fan_in, got {self.init_mode}",
        )


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A data set: where its images come from and how training images are augmented."""

    name: str = _science("fashion_scenes")
    kind: str = _science("fashion_scenes")
    image_size: int = _science(32)
    channels: int = _science(1)
    num_classes: int = _science(10)
    num_train: int | None = _science(None)  # images; None = all
    num_val: int | None = _science(None)
    # fashion kinds: test | train (train = held-out training garments)
    val_source: str | None = _science(None)
    mean: tuple[float, ...] = _science((0.5,))  # of pixel values in [0, 1], one per channel
    std: tuple[float, ...] = _science((0.25,))
    flip: bool = _science(True)
    shift: int = _science(0)  # largest random translation in pixels, edges repeated
    # fashion_scenes: spread of each scene's own exposure, 0 = none, 1 = full
    exposure: float | None = _science(None)
    clutter: int | None = _science(None)  # fashion_scenes: pieces of other garments per scene
    # imagefolder: random-resized crop, share of the area
    crop_area: tuple[float, ...] | None = _science(None)
    crop_aspect: tuple[float, ...] | None = _science(None)
    jitter: float | None = _science(None)  # imagefolder: brightness, contrast and saturation strength
    lighting: float | None = _science(None)  # imagefolder: PCA lighting strength
    eval_resize: int | None = _science(None)  # imagefolder: shorter side before the centre crop
    sha256: str | None = _science(None)  # of generated images; checked when they are made
    root: str | None = _hardware(None)
    loader_workers: int = _hardware(2)  # decoding processes; in-memory data uses none

    def __post_init__(self) -> None:
        _require_name("data.name", self.name)
        _require_at_least(self, 1, "data.", "image_size", "num_classes", "channels", "num_train", "num_val")
        _require_at_least(self, 0, "data.", "shift", "clutter", "loader_workers")
        _require(
            len(self.mean) == len(self.std) == self.channels,
            f"data.mean and data.std need {self.channels} value(s), one per channel, got {self.mean} and {self.std}",
        )
        _require(min(self.std) > 0, f"data.std must be positive, got {self.std}")
        _require(
            self.exposure is None or 0 <= self.exposure <= 1,
            f"data.exposure must be in [0, 1], got {self.exposure}",
        )
        _require(
            self.val_source in (None, "test", "train"),
            f"data.val_source must be test or train, got {self.val_source}",
        )


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What loss and score mean."""

    kind: str = _science("classification")


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """How a model is trained: one recipe for every norm and every batch size."""

    name: str = _hardware("small")
    version: int = _science(1)  # raised when a change of the numerics moves results
    epochs: int = _science(8)
    base_lr: float = _science(0.1)
    base_total_batch: int = _science(256)  # lr = base_lr * total_batch / base_total_batch
    schedule: str = _science("linear")  # step | linear
    # step: epochs after which lr is multiplied by drop_factor
    milestones: tuple[int, ...] | None = _science(None)
    drop_factor: float | None = _science(None)
    warmup_epochs: int = _science(0)  # the paper mentions none
    momentum: float = _science(0.9)
    nesterov: bool = _science(True)
    weight_decay: float = _science(1e-4)
    # of gamma and beta; None = weight_decay, as the paper has it
    norm_weight_decay: float | None = _science(None)
    report_epochs: int = _science(1)  # reported error = median over the last report_epochs epochs
    precise_images: int | None = _science(None)  # training images behind eval_stats=precise; None = all

    def __post_init__(self) -> None:
        _require_name("recipe.name", self.name)
        _require(0 <= self.momentum < 1, f"recipe.momentum must be in [0, 1), got {self.momentum}")
        _require(
            self.momentum > 0 or not self.nesterov,
            "recipe.nesterov=true needs recipe.momentum above 0, got 0; give recipe.nesterov=false",
        )
        _require_at_least(self, 0, "recipe.", "weight_decay", "norm_weight_decay")
        _require_at_least(self, 1, "recipe.", "precise_images", "epochs", "base_total_batch")
        _require(self.base_lr > 0, f"recipe.base_lr must be positive, got {self.base_lr}")
        _require(
            1 <= self.report_epochs <= self.epochs,
            f"recipe.report_epochs must be between 1 and recipe.epochs={self.epochs}, got {self.report_epochs}",
        )
        _require(
            self.schedule in ("step", "linear"),
            f"recipe.schedule must be step or linear, got {self.schedule}",
        )
        _require(
            (self.schedule == "step") == (self.milestones is not None and self.drop_factor is not None),
            "recipe.milestones and recipe.drop_factor belong to schedule=step, and to it alone: "
            f"got {self.milestones} and {self.drop_factor} with schedule {self.schedule}",
        )
        _require(
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
    batch: int = _science(32)  # images per worker
    workers: int = _science(8)
    seed: int = _science(0)
    scale: str = _hardware("small")  # a name; what it chose is in the other fields
    device: str = _hardware("auto")  # auto | cpu | cuda | cuda:N
    threads: int | None = _hardware(None)  # of one training process; None = what the launcher leaves free
    memory_format: str = _hardware("contiguous")  # contiguous | channels_last

    def __post_init__(self) -> None:
        _require(self.batch >= 1, f"batch must be at least 1 image per worker, got {self.batch}")
        _require_at_least(self, 1, "", "workers", "threads")
        _require(0 <= self.seed < 2**63, f"seed must not be negative or above 2^63 - 1, got {self.seed}")
        _require(
            self.memory_format in ("contiguous", "channels_last"),
            f"memory_format must be contiguous or channels_last, got {self.memory_format}",
        )
        _require(
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


def science(config: Any) -> dict[str, Any]:
    """The science fields of a config as plain JSON values; None is dropped, so that a new option keeps old ids."""
    return _part(config, "science")


def _part(config: Any, part: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            found[f.name] = _part(value, part)
        elif f.metadata["part"] == part and value is not None:
            found[f.name] = list(value) if isinstance(value, tuple) else value
    return found


def to_dict(config: Any) -> dict[str, Any]:
    """All fields as plain JSON values: the inverse of from_dict."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def from_dict(values: dict[str, Any]) -> RunConfig:
    """Builds a RunConfig from plain values (a composed config or a spec.json).

    Raises:
        ValueError: an unknown key, or a cross-field check that fails.
    """
    return typing.cast(RunConfig, _build(RunConfig, values, ""))


def _build(cls: type, values: dict[str, Any], path: str) -> Any:
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    _require(not unknown, f"unknown key {path}{unknown[0] if unknown else ''} in a run's config")
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            arguments[name] = _build(hints[name], value, f"{path}{name}.")
        else:
            arguments[name] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)
