"""The fields of a ResNet that is inflated to videos (I3D, Carreira & Zisserman 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import hardware_field, require, science_field
from gnexp.config.model import dashed
from gnexp.config.task import VIDEO
from gnexp.models.kinds.resnet import POOLED_STEM, ClassifyingResNet


@dataclass(frozen=True, kw_only=True)
class I3DConfig(ClassifyingResNet):
    """A classifier of clips; blocks to stem_stride are those of the network that it is inflated from."""

    builder: ClassVar = "gnexp.models.i3d:build_i3d"
    task: ClassVar = VIDEO
    has_frames: ClassVar = True

    kind: str = science_field("i3d")
    # model= of the classifier whose runs it starts from (init=cell)
    backbone: str | None = hardware_field(None)
    stem_frames: int = science_field(title="frames of the stem's convolution", unit="frames", told_by="model")
    # of the stem's convolution, of its pool, and of the pool behind the first stage; 1 = no pooling of frames
    temporal_strides: tuple[int, ...] = science_field(ge=1, unit="frames", told_by="model")
    # of the first convolution of each block, all stages' one after the other; 1 = within a frame
    temporal_kernels: tuple[int, ...] = science_field(unit="frames", told_by="model")
    dropout: float = science_field(
        ge=0, lt=1, title="dropout before the classifier", left_open={VIDEO: ""}, told_by="model"
    )

    def describe(self) -> str:
        own = ("stem_frames", "temporal_strides", "temporal_kernels", "dropout")
        return f"{super().describe()}; " + ", ".join(f"{name} {dashed(getattr(self, name))}" for name in own)

    def check_together(self) -> None:
        for name, kernels in (
            ("stem_frames", (self.stem_frames,)),
            ("temporal_kernels", self.temporal_kernels),
        ):
            require(
                all(kernel >= 1 and kernel % 2 for kernel in kernels),
                f"model.{name} must be odd, so that a frame has as many before it as behind, got {kernels}",
            )
        num_blocks = sum(self.blocks)
        require(
            len(self.temporal_kernels) == num_blocks,
            f"model.temporal_kernels must have one for each of the {num_blocks} blocks, got {self.temporal_kernels}",
        )
        require(
            len(self.temporal_strides) == 3,
            "model.temporal_strides must be three numbers, of the stem's convolution, its pool and the pool behind "
            f"the first stage, got {self.temporal_strides}",
        )
        require(
            self.stem == POOLED_STEM or self.temporal_strides[1] == 1,
            f"model.temporal_strides must have 1 for the pool, which stem {self.stem} has not, got "
            f"{self.temporal_strides}",
        )
