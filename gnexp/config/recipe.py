"""The schema of conf/recipe."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from gnexp.config.fields import ANY_TASK, check, hardware_field, plain, require, require_name, science_field
from gnexp.config.task import CLASSIFICATION, DETECTION, VIDEO

# What each optimizer has of its own, and where nothing is said; what another one has is refused.
_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "nesterov": True},
    "adamw": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
}
_SCHEDULES = {"linear": "decayed linearly to 0", "cosine": "decayed to 0 along half a cosine"}


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """How a model is trained: one recipe for every norm and every batch size."""

    name: str = hardware_field("demo")
    version: int = science_field(1)  # raised when a change of the numerics moves results
    epochs: int = science_field(8, ge=1, title="epochs")
    # steps that count as an epoch, for recipes in iterations (Detectron's); None = one pass over the images
    epoch_steps: int | None = science_field(None, ge=1, title="steps of an epoch")
    # None = 1
    eval_every: int | None = science_field(None, ge=1, title="epochs from one evaluation to the next")
    # evaluations, evenly over the epochs, as thorough as that of the last epoch; None = its alone
    eval_points: int | None = science_field(None, ge=1, title="points of the curve of scores")
    base_lr: float = science_field(
        0.1,
        gt=0,
        title="base learning rate",
        left_open={VIDEO: " (for 64 clips; how it goes with their number is not stated: in proportion)"},
    )
    # lr = base_lr * total_batch / base_total_batch
    base_total_batch: int = science_field(256, ge=1, title="total batch of the base learning rate")
    schedule: str = science_field("linear", choices=("step", "linear", "cosine"), told_by="schedule")
    # step: epochs after which lr is multiplied by drop_factor
    milestones: tuple[int, ...] | None = science_field(None, told_by="schedule")
    drop_factor: float | None = science_field(None, told_by="schedule")
    # the paper mentions none
    warmup_epochs: int = science_field(0, ge=0, title="warm-up epochs", left_open={CLASSIFICATION: ""})
    # of a warm-up that starts at warmup_factor times the learning rate; None = none
    warmup_steps: int | None = science_field(None, ge=1, title="warm-up steps", left_open={DETECTION: ""})
    warmup_factor: float | None = science_field(
        None, gt=0, le=1, title="learning rate at which the warm-up starts, as a share"
    )
    # None = sgd, as the paper has it
    optimizer: str | None = science_field(None, choices=tuple(_OPTIMIZERS), told_by="optimizer")
    # of sgd alone; None = 0.9 and true there
    momentum: float | None = science_field(
        None, ge=0, lt=1, title="momentum", left_open={ANY_TASK: ""}, told_by="optimizer"
    )
    nesterov: bool | None = science_field(
        None, title="Nesterov momentum", left_open={CLASSIFICATION: "", VIDEO: ""}, told_by="optimizer"
    )
    # of adamw alone; None = 0.9, 0.999 and 1e-8 there
    beta1: float | None = science_field(
        None, ge=0, lt=1, title="weight of the past in AdamW's mean gradient", told_by="optimizer"
    )
    beta2: float | None = science_field(
        None, ge=0, lt=1, title="weight of the past in AdamW's mean square", told_by="optimizer"
    )
    eps: float | None = science_field(None, gt=0, title="eps of AdamW's division", told_by="optimizer")
    weight_decay: float = science_field(1e-4, ge=0, title="weight decay")
    # of gamma and beta; None = weight_decay, as the paper has it
    norm_weight_decay: float | None = science_field(
        None,
        ge=0,
        title="weight decay of gamma and beta",
        left_open={DETECTION: " (stated for fine-tuning, not from scratch)", VIDEO: ""},
    )
    # of the biases of convolutions and linear layers; None = as the weights (a factor of 1)
    bias_lr_factor: float | None = science_field(
        None, ge=0, title="learning rate of biases, as a multiple", left_open={DETECTION: ""}
    )
    bias_weight_decay: float | None = science_field(
        None, ge=0, title="weight decay of biases", left_open={DETECTION: ""}
    )
    # reported error = median over the last report_epochs epochs
    report_epochs: int = science_field(1, title="last epochs whose median is reported")
    # behind eval_stats=precise; None = all
    precise_images: int | None = science_field(None, ge=1, title="training images behind precise statistics")

    def __post_init__(self) -> None:
        require_name("recipe.name", self.name)
        check(self, "recipe.")
        self._resolve_optimizer()
        require(
            self.momentum != 0 or not self.nesterov,
            "recipe.nesterov=true needs recipe.momentum above 0, got 0; give recipe.nesterov=false",
        )
        require(
            (self.warmup_steps is None) == (self.warmup_factor is None),
            "recipe.warmup_steps and recipe.warmup_factor go together, "
            f"got {self.warmup_steps} and {self.warmup_factor}",
        )
        require(
            self.warmup_steps is None or self.warmup_epochs == 0,
            f"give recipe.warmup_steps or recipe.warmup_epochs, not both: got {self.warmup_steps} and "
            f"{self.warmup_epochs}",
        )
        require(
            1 <= self.report_epochs <= self.epochs,
            f"recipe.report_epochs must be between 1 and recipe.epochs={self.epochs}, got {self.report_epochs}",
        )
        require(
            (self.eval_points or 1) <= self.epochs,
            f"recipe.eval_points must be at most recipe.epochs={self.epochs}, got {self.eval_points}",
        )
        require(
            {self.milestones is not None, self.drop_factor is not None} == {self.schedule == "step"},
            "recipe.milestones and recipe.drop_factor belong to schedule=step, and to it alone: "
            f"got {self.milestones} and {self.drop_factor} with schedule {self.schedule}",
        )
        require(
            self.warmup_epochs < self.epochs,
            f"recipe.warmup_epochs must be below recipe.epochs={self.epochs}, got {self.warmup_epochs}",
        )

        # Before any hash: what stands for none, spelled out, is the same run.
        for name, meant in (
            ("eval_every", 1),
            ("norm_weight_decay", self.weight_decay),
            ("bias_lr_factor", 1.0),
            ("bias_weight_decay", self.weight_decay),
        ):
            if getattr(self, name) == meant:
                object.__setattr__(self, name, None)
        if self.warmup_factor == 1:
            object.__setattr__(self, "warmup_steps", None)
            object.__setattr__(self, "warmup_factor", None)

    def _resolve_optimizer(self) -> None:
        """Fills in what the optimizer has, so that spelling it out gives the same run, and refuses what it has not."""
        chosen = self.optimizer or "sgd"
        for optimizer, defaults in _OPTIMIZERS.items():
            for name, default in defaults.items():
                value = getattr(self, name)
                require(
                    value is None or optimizer == chosen,
                    f"recipe.{name} is for recipe.optimizer={optimizer}, got {plain(value)} with {chosen}; "
                    f"give recipe.{name}=null",
                )
                if value is None and optimizer == chosen:
                    object.__setattr__(self, name, default)
        if chosen == "sgd":
            object.__setattr__(self, "optimizer", None)

    def describe_schedule(self) -> str:
        """How the learning rate falls, in words for captions."""
        if self.schedule == "step":
            return (
                f"multiplied by {self.drop_factor} after epochs {', '.join(map(str, self.milestones or ()))}"
            )
        return _SCHEDULES[self.schedule]

    def describe_optimizer(self) -> str:
        """The optimizer with what it has of its own, in words for captions."""
        if self.momentum is None:
            return f"AdamW with betas {self.beta1} and {self.beta2}, eps {self.eps}"
        kind = "Nesterov momentum" if self.nesterov else "momentum"
        return f"SGD with {kind} {self.momentum}" if self.momentum else "SGD without momentum"

    def resolved(self, *, has_test: bool) -> RecipeConfig:
        """The recipe as it is hashed: eval_points is None where the same evaluations follow without it.

        Args:
            has_test: as the task says.
        """
        if self.eval_points is None:
            return self
        epochs = range(1, self.epochs + 1)
        plain = dataclasses.replace(self, eval_points=None)
        if has_test:
            return plain if all(map(plain.is_scored, filter(self.is_scored, epochs))) else self
        for every in epochs:
            plain = dataclasses.replace(self, eval_points=None, eval_every=every)
            if all(plain.is_evaluated(epoch) == self.is_evaluated(epoch) for epoch in epochs):
                return plain
        return self

    def is_evaluated(self, epoch: int) -> bool:
        """Whether there is an evaluation after an epoch, counted from 1."""
        return self.is_scored(epoch) or epoch % (self.eval_every or 1) == 0

    def is_reported(self, epoch: int) -> bool:
        """Whether the reported score is taken over an epoch, counted from 1."""
        return epoch > self.epochs - self.report_epochs

    def is_scored(self, epoch: int) -> bool:
        """Whether the evaluation after an epoch, counted from 1, is as thorough as that of what is reported."""
        num = self.eval_points or 1
        points = ((2 * i * self.epochs + num) // (2 * num) for i in range(1, num + 1))
        return self.is_reported(epoch) or epoch in points
