"""The fields of conf/model that only a detector has."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.fields import hardware_field, require, require_at_least, science_field
from gnexp.config.norm import NormConfig
from gnexp.config.places import PLACES, SPELLINGS

DETECTOR = "mask_rcnn"  # the kind that has them

_ALWAYS = (
    *("neck", "freeze_at", "anchor_sizes", "rpn_anchors", "rpn_pre_nms", "rpn_post_nms"),
    *("rois", "roi_size", "roi_samples", "head_width", "box_beta", "detections"),
)
_FPN = ("fpn_stages", "fpn_width", "box_head", "fc_width")


@dataclass(frozen=True, kw_only=True)
class DetectorFields:
    """Mask R-CNN's shape beside its backbone's; every one is None in a classifier."""

    # model= of the classifier whose runs it starts from (init=cell): the same network as its backbone; i3d too
    backbone: str | None = hardware_field(None)
    neck: str | None = science_field(None)  # fpn | c4: the last stage is the head of every RoI
    # norms beside the backbone's: gn (model.default_num_groups) | ln | bn | None, a bias instead; also spelled none.
    # same = the backbone's; where that has no statistics to take (frozen_bn, none), none.
    # As hashed and built the norm itself, with the backbone's eps and momentum (gnexp.config.places)
    fpn_norm: NormConfig | str | None = science_field(None, spelling=str | None)
    box_norm: NormConfig | str | None = science_field(None, spelling=str | None)
    mask_norm: NormConfig | str | None = science_field(None, spelling=str | None)
    # stem and first stages that do not train, counted together: 2 = stem and first stage, 0 = all train
    freeze_at: int | None = science_field(None)
    fpn_stages: int | None = science_field(None)  # last stages that the FPN takes
    fpn_width: int | None = science_field(None)
    anchor_sizes: tuple[int, ...] | None = science_field(None)  # px; fpn: one a level, c4: all at each place
    rpn_anchors: int | None = science_field(None)  # sampled for the loss, per image
    # proposals per image before (fpn: of each level) and after non-maximum suppression, in training and in evaluation
    rpn_pre_nms: tuple[int, ...] | None = science_field(None)
    rpn_post_nms: tuple[int, ...] | None = science_field(None)
    rois: int | None = science_field(None)  # sampled for the loss, per image; a quarter foreground at most
    # side of what is pooled from a RoI: c4 for its head; fpn for its mask, and half of it for its box
    roi_size: int | None = science_field(None)
    roi_samples: int | None = science_field(
        None
    )  # per bin and side of what is pooled; 0 = one a pixel of the map
    box_head: str | None = science_field(None)  # fpn: 2fc | 4conv1fc
    head_width: int | None = science_field(None)  # channels of the box's and the mask's convolutions
    fc_width: int | None = science_field(None)  # of the box head's linear layers
    box_beta: float | None = science_field(
        None
    )  # where the loss of a RoI's box turns from quadratic to linear
    detections: int | None = science_field(None)  # per image at most

    def _check_detector(self, kind: str) -> None:
        """Raises ValueError where a field is missing, out of its range, or another kind's."""
        for name in PLACES:
            if getattr(self, name) == "none":
                object.__setattr__(self, name, None)  # before any hash: spelled out it is the same run
        for name in _ALWAYS:
            value = getattr(self, name)
            require(
                (value is not None) == (kind == DETECTOR),
                f"model.{name} is for kind {DETECTOR}, which needs it: got {value} with kind {kind}",
            )
        require(self.neck in (None, "fpn", "c4"), f"model.neck must be fpn or c4, got {self.neck}")
        for name in (*_FPN, *PLACES):
            value = getattr(self, name)
            missing = value is None and self.neck == "fpn" and name in _FPN
            require(
                not missing and (value is None or self.neck == "fpn"),
                f"model.{name} is for model.neck=fpn{', which needs it' if name in _FPN else ''}: "
                f"got {value} with neck {self.neck}",
            )
        for name in PLACES:
            value = getattr(self, name)
            require(
                value is None or isinstance(value, NormConfig) or value in SPELLINGS,
                f"model.{name} must be same, gn, ln, bn or none, got {value}",
            )
        require(
            self.box_head in (None, "2fc", "4conv1fc"),
            f"model.box_head must be 2fc or 4conv1fc, got {self.box_head}",
        )
        require(
            self.box_norm in (None, "same") or self.box_head == "4conv1fc",
            f"model.box_norm is for model.box_head=4conv1fc, got {self.box_norm} with {self.box_head}",
        )
        self._check_numbers()

    def _check_numbers(self) -> None:
        require_at_least(self, 0, "model.", "freeze_at", "roi_samples")
        require_at_least(self, 1, "model.", "fpn_stages", "fpn_width", "rpn_anchors", "rois", "roi_size")
        require_at_least(self, 1, "model.", "head_width", "fc_width", "detections")
        require(
            self.box_beta is None or self.box_beta > 0,
            f"model.box_beta must be positive, got {self.box_beta}",
        )
        require(
            self.roi_size is None or self.roi_size % 2 == 0,
            f"model.roi_size must be even, got {self.roi_size}",
        )
        for name in ("anchor_sizes", "rpn_pre_nms", "rpn_post_nms"):
            values = getattr(self, name)
            require(
                values is None or min(values, default=0) >= 1,
                f"model.{name} must be at least 1 each, got {values}",
            )
        for name in ("rpn_pre_nms", "rpn_post_nms"):
            values = getattr(self, name)
            require(
                values is None or len(values) == 2,
                f"model.{name} must be two numbers, for training and evaluation, got {values}",
            )
        require(
            self.neck != "fpn"
            or self.fpn_stages is None
            or len(self.anchor_sizes or ()) == self.fpn_stages + 1,
            f"model.anchor_sizes must have one size for each of the FPN's {self.fpn_stages} stages and one for the "
            f"level above, got {self.anchor_sizes}",
        )
