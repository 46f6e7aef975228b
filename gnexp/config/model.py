"""What every network says of itself: the fields and the traits that its own class adds to.

The kinds are in gnexp/models/kinds. Nothing asks for a model's kind: it asks for a trait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from gnexp.config.fields import check, hardware_field, require, require_name, science_field
from gnexp.config.kinds import build_kind
from gnexp.config.norm import NormConfig


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A network.

    Its traits:
        builder: module:function that gives the network; not yet initialised, unless it is foreign.
        task: what it is trained for.
        is_one_worker_a_pass: whether a pass of training takes the images of one worker alone, whatever the norm.
        has_frames: whether its maps have a dimension of time.
        is_foreign: whether it is another package's: its builder gives it initialised, from torch's global generator,
            and groups are fitted to its channels (NormConfig.fitting).
    """

    group: ClassVar[str] = "model"
    builder: ClassVar[str]
    task: ClassVar[str]
    is_one_worker_a_pass: ClassVar[bool] = False
    has_frames: ClassVar[bool] = False
    is_foreign: ClassVar[bool] = False

    name: str = hardware_field("thin_resnet")
    kind: str = science_field()
    # what a norm with groups takes when it names no grouping; resolved before hashing
    default_num_groups: int = hardware_field(8, ge=1)

    def __post_init__(self) -> None:
        require(self.kind == type(self).kind, f"model.kind must be {type(self).kind} here, got {self.kind}")
        require_name("model.name", self.name)
        check(self, "model.")
        self.check_together()

    def check_together(self) -> None:
        """Raises ValueError where fields do not fit together."""

    def resolved(self, norm: NormConfig, *, is_without_masks: bool) -> ModelConfig:
        """The model as it is hashed and built, with the norm and the data that it has.

        Args:
            norm: of the run, resolved.
            is_without_masks: whether the data leaves its masks out.
        """
        return self

    @property
    def norms(self) -> list[NormConfig]:
        """The norms that it names beside the run's own."""
        return []

    def describe(self) -> str:
        """Its shape in words, for captions; its name where its kind has nothing to add."""
        return self.label

    @property
    def label(self) -> str:
        """What it is called in a run directory's name and in captions."""
        return self.name

    def check_installed(self) -> None:
        """Looks, without torch, whether what the network is built from is here.

        Raises:
            ValueError: it is not; with what to do.
        """

    def torchvision_constructor(self, norm: NormConfig, num_classes: int) -> str:
        """The Python that builds torchvision's network of this shape.

        Raises:
            ValueError: torchvision has none; with why alone.
        """
        raise ValueError(f"torchvision has no network of model.kind={self.kind}")


def dashed(value: Any) -> str:
    """A value in a caption: 1-1-2 of several numbers."""
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def model_config(*, kind: str = "resnet", **values: Any) -> ModelConfig:
    """The config of a network, from its kind and that kind's fields.

    Raises:
        ValueError: as build_kind.
    """
    found: ModelConfig = build_kind(ModelConfig.group, {"kind": kind, **values})
    return found
