"""Mask R-CNN's fields (He et al. 2017): its shape beside its backbone's, and the norms of its places."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from gnexp.config.fields import hardware_field, require, science_field
from gnexp.config.model import ModelConfig, dashed
from gnexp.config.norm import NormConfig
from gnexp.config.places import PLACES, place_spellings, resolve_place
from gnexp.config.task import DETECTION
from gnexp.models.kinds.resnet import ResNetShape

_FPN = ("fpn_stages", "fpn_width", "box_head", "fc_width")
_CONV_HEAD = "4conv1fc"


@dataclass(frozen=True, kw_only=True)
class MaskRCNNConfig(ResNetShape):
    """A detector; blocks to stem_stride are its backbone's."""

    builder: ClassVar = "gnexp.models.mask_rcnn:build_mask_rcnn"
    task: ClassVar = DETECTION
    # A batch norm cannot tell the RoIs of several workers apart, and images are padded to the largest of a pass.
    is_one_worker_a_pass: ClassVar = True

    kind: str = science_field("mask_rcnn")
    # model= of the classifier whose runs it starts from (init=cell): the same network as its backbone
    backbone: str | None = hardware_field(None)
    # c4: the last stage is the head of every RoI
    neck: str = science_field(choices=("fpn", "c4"), told_by="model")
    # norms beside the backbone's, of neck=fpn: same (as the backbone, but none where that takes no statistics), gn
    # (model.default_num_groups), ln, bn, sync_bn, or None, a bias instead; also spelled none.
    # As hashed and built the norm itself, with the backbone's eps and momentum (gnexp.config.places)
    fpn_norm: NormConfig | str | None = science_field(None, spelling=str | None, title="FPN norm")
    box_norm: NormConfig | str | None = science_field(None, spelling=str | None, title="box head norm")
    mask_norm: NormConfig | str | None = science_field(None, spelling=str | None, title="mask head norm")
    # stem and first stages that do not train, counted together: 2 = stem and first stage, 0 = all train
    freeze_at: int = science_field(ge=0, left_open={DETECTION: ""}, told_by="model")
    fpn_stages: int | None = science_field(
        None, ge=1, title="last stages that the FPN takes", told_by="model"
    )
    fpn_width: int | None = science_field(None, ge=1, unit="channels", told_by="model")
    # fpn: one a level, c4: all at each place
    anchor_sizes: tuple[int, ...] = science_field(ge=1, unit="pixels", told_by="model")
    rpn_anchors: int = science_field(ge=1, title="anchors sampled for the loss of an image", told_by="model")
    # proposals per image before (fpn: of each level) and after non-maximum suppression, in training and in evaluation
    rpn_pre_nms: tuple[int, ...] = science_field(ge=1, told_by="model")
    rpn_post_nms: tuple[int, ...] = science_field(ge=1, told_by="model")
    # a quarter foreground at most
    rois: int = science_field(ge=1, title="RoIs sampled for the loss of an image", told_by="model")
    # side of what is pooled from a RoI: c4 for its head; fpn for its mask, and half of it for its box
    roi_size: int = science_field(ge=1, unit="pixels", told_by="model")
    # per bin and side of what is pooled; 0 = one a pixel of the map
    roi_samples: int = science_field(ge=0, told_by="model")
    box_head: str | None = science_field(None, choices=("2fc", _CONV_HEAD), told_by="model")
    head_width: int = science_field(
        ge=1, title="channels of the box's and the mask's convolutions", told_by="model"
    )
    fc_width: int | None = science_field(
        None, ge=1, title="widths of the box head's linear layers", told_by="model"
    )
    # where the loss of a RoI's box turns from quadratic to linear
    box_beta: float = science_field(gt=0, left_open={DETECTION: ""}, told_by="model")
    detections: int = science_field(ge=1, title="detections of an image at most", told_by="model")

    def describe(self) -> str:
        shared = {f.name for f in dataclasses.fields(ResNetShape)}
        own = sorted(
            f.name
            for f in dataclasses.fields(self)
            if f.metadata.get("told_by") and f.name not in shared and getattr(self, f.name) is not None
        )
        return f"{super().describe()}; " + ", ".join(f"{name} {dashed(getattr(self, name))}" for name in own)

    def check_together(self) -> None:
        is_fpn = self.neck == "fpn"
        for name in PLACES:
            if getattr(self, name) == "none":
                object.__setattr__(self, name, None)  # before any hash: spelled out it is the same run
        for name in (*_FPN, *PLACES):
            value = getattr(self, name)
            is_missing = value is None and is_fpn and name in _FPN
            require(
                not is_missing and (value is None or is_fpn),
                f"model.{name} is for model.neck=fpn{', which needs it' if name in _FPN else ''}: "
                f"got {value} with neck {self.neck}",
            )
        words = place_spellings()
        for name in PLACES:
            value = getattr(self, name)
            require(
                value is None or isinstance(value, NormConfig) or value in words,
                f"model.{name} must be {', '.join(words)} or none, got {value}",
            )
        require(
            self.box_norm in (None, "same") or self.box_head == _CONV_HEAD,
            f"model.box_norm is for model.box_head={_CONV_HEAD}, got {self.box_norm} with {self.box_head}",
        )
        require(self.roi_size % 2 == 0, f"model.roi_size must be even, got {self.roi_size}")
        for name in ("rpn_pre_nms", "rpn_post_nms"):
            values = getattr(self, name)
            require(
                len(values) == 2,
                f"model.{name} must be two numbers, for training and evaluation, got {values}",
            )
        require(
            self.fpn_stages is None or len(self.anchor_sizes) == self.fpn_stages + 1,
            f"model.anchor_sizes must have one size for each of the FPN's {self.fpn_stages} stages and one for the "
            f"level above, got {self.anchor_sizes}",
        )
        require(
            max(self.fpn_stages or 0, (self.freeze_at or 1) - 1) <= len(self.blocks),
            f"model.fpn_stages and model.freeze_at must fit {len(self.blocks)} stages, "
            f"got {self.fpn_stages} and {self.freeze_at}",
        )

    def resolved(self, norm: NormConfig, *, is_without_masks: bool) -> ModelConfig:
        """With the norms themselves where it names them."""
        found: dict[str, Any] = {
            name: resolve_place(getattr(self, name), norm, self.default_num_groups) for name in PLACES
        }
        if self.box_head != _CONV_HEAD:
            found["box_norm"] = None  # linear layers have none
        if is_without_masks:
            found["mask_norm"] = None  # there is no mask head
            if self.box_head != _CONV_HEAD:
                found["head_width"] = 1  # nor any convolution of that width
        if not norm.trains_gamma:
            found["zero_init_last"] = True  # no gamma could start at 0, so either word is the same run
        return dataclasses.replace(self, **found)

    @property
    def norms(self) -> list[NormConfig]:
        return [norm for name in PLACES if isinstance(norm := getattr(self, name), NormConfig)]
