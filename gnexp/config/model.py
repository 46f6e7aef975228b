"""The schema of conf/model."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.detector import DETECTOR, DetectorFields
from gnexp.config.fields import hardware_field, require, require_at_least, require_name, science_field
from gnexp.config.video import VIDEO, VideoFields


@dataclass(frozen=True, kw_only=True)
class ModelConfig(DetectorFields, VideoFields):
    """A network's shape and its initialisation.

    Of a detector blocks to stem_stride are its backbone's, of a network of videos those of the one it is inflated from.
    """

    name: str = hardware_field("thin_resnet")
    kind: str = science_field("resnet")
    block: str = science_field("basic")  # basic | bottleneck
    blocks: tuple[int, ...] = science_field((1, 1, 1, 1))  # per stage; of a vgg its convolutions
    widths: tuple[int, ...] = science_field((16, 32, 64, 128))
    stem: str = science_field(
        "conv3x3"
    )  # conv3x3 | conv7x7_pool; of a vgg these two and block stay as they are
    stem_stride: int = science_field(2)
    # what norm=gn takes when it names no grouping; resolved before hashing
    default_num_groups: int = hardware_field(8)
    zero_init_last: bool = science_field(True)  # gamma 0 in each block's last norm (Section 4.1)
    init_mode: str = science_field("fan_out")  # He initialisation; the code that the paper follows
    # vgg: side of the map that the classifier takes, and widths of its hidden layers
    classifier_pool: int | None = science_field(None)
    classifier_widths: tuple[int, ...] | None = science_field(None)
    # vgg: of those; i3d: before the classifier
    dropout: float | None = science_field(None)
    classifier_std: float = science_field(0.01)  # the paper does not state it; the author's code

    def __post_init__(self) -> None:
        require_name("model.name", self.name)
        for key in ("blocks", "widths", "classifier_widths"):
            values = getattr(self, key) or ()
            require(min(values, default=1) >= 1, f"model.{key} must be at least 1 each, got {values}")
        require_at_least(self, 1, "model.", "stem_stride", "default_num_groups", "classifier_pool")
        require_at_least(self, 0, "model.", "classifier_std")
        for name, kinds in (
            ("classifier_pool", ("vgg",)),
            ("classifier_widths", ("vgg",)),
            ("dropout", ("vgg", VIDEO)),
        ):
            value = getattr(self, name)
            require(
                (value is not None) == (self.kind in kinds),
                f"model.{name} is for kind {' and '.join(kinds)}, which needs it: got {value} with kind {self.kind}",
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
        self._check_foreign()
        self._check_detector(self.kind)
        self._check_video(self.kind, sum(self.blocks), has_pool=self.stem != "conv3x3")
        require(
            max(self.fpn_stages or 0, (self.freeze_at or 1) - 1) <= len(self.blocks),
            f"model.fpn_stages and model.freeze_at must fit {len(self.blocks)} stages, "
            f"got {self.fpn_stages} and {self.freeze_at}",
        )

    def _check_foreign(self) -> None:
        """Refuses what a kind would ignore: it would name another run and compute the same one."""
        foreign = {
            "vgg": ("block", "stem", "stem_stride", "zero_init_last"),
            DETECTOR: ("classifier_std",),  # its backbone has no classifier
        }
        for name in foreign.get(self.kind, ()):
            value, default = getattr(self, name), getattr(type(self), name)
            require(
                value == default,
                f"model.{name} is not for kind {self.kind}, got {value}; leave it at {default}",
            )
