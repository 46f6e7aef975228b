"""The schema of conf/recipe, and of the task that it trains."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.fields import hardware_field, require, require_at_least, require_name, science_field
from gnexp.config.kinds import CLASSIFICATION, EMBEDDED


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What loss and score mean."""

    kind: str = science_field(CLASSIFICATION)

    def __post_init__(self) -> None:
        require(self.kind in EMBEDDED, f"task.kind must be one of {', '.join(EMBEDDED)}, got {self.kind}")


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """How a model is trained: one recipe for every norm and every batch size."""

    name: str = hardware_field("small")
    version: int = science_field(1)  # raised when a change of the numerics moves results
    epochs: int = science_field(8)
    # steps that count as an epoch, for recipes in iterations (Detectron's); None = one pass over the images
    epoch_steps: int | None = science_field(None)
    eval_every: int | None = science_field(None)  # epochs from one evaluation to the next; None = 1
    base_lr: float = science_field(0.1)
    base_total_batch: int = science_field(256)  # lr = base_lr * total_batch / base_total_batch
    schedule: str = science_field("linear")  # step | linear
    # step: epochs after which lr is multiplied by drop_factor
    milestones: tuple[int, ...] | None = science_field(None)
    drop_factor: float | None = science_field(None)
    warmup_epochs: int = science_field(0)  # the paper mentions none
    # steps of a warm-up that starts at warmup_factor times the learning rate; None = none
    warmup_steps: int | None = science_field(None)
    warmup_factor: float | None = science_field(None)
    momentum: float = science_field(0.9)
    nesterov: bool = science_field(True)
    weight_decay: float = science_field(1e-4)
    # of gamma and beta; None = weight_decay, as the paper has it
    norm_weight_decay: float | None = science_field(None)
    # of the biases of convolutions and linear layers; None = as the weights (a factor of 1)
    bias_lr_factor: float | None = science_field(None)
    bias_weight_decay: float | None = science_field(None)
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
        require_at_least(self, 0, "recipe.", "bias_weight_decay", "bias_lr_factor")
        require_at_least(self, 1, "recipe.", "precise_images", "epochs", "base_total_batch")
        require_at_least(self, 1, "recipe.", "epoch_steps", "eval_every", "warmup_steps")
        require(
            (self.warmup_steps is None) == (self.warmup_factor is None),
            "recipe.warmup_steps and recipe.warmup_factor go together, "
            f"got {self.warmup_steps} and {self.warmup_factor}",
        )
        require(
            self.warmup_factor is None or 0 < self.warmup_factor <= 1,
            f"recipe.warmup_factor must be in (0, 1], got {self.warmup_factor}",
        )
        require(
            self.warmup_steps is None or self.warmup_epochs == 0,
            f"give recipe.warmup_steps or recipe.warmup_epochs, not both: got {self.warmup_steps} and "
            f"{self.warmup_epochs}",
        )
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
            {self.milestones is not None, self.drop_factor is not None} == {self.schedule == "step"},
            "recipe.milestones and recipe.drop_factor belong to schedule=step, and to it alone: "
            f"got {self.milestones} and {self.drop_factor} with schedule {self.schedule}",
        )
        require(
            0 <= self.warmup_epochs < self.epochs,
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

    def is_evaluated(self, epoch: int) -> bool:
        """Whether there is an evaluation after an epoch, counted from 1."""
        return epoch > self.epochs - self.report_epochs or epoch % (self.eval_every or 1) == 0
