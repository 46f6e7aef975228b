"""The fields of conf/model that only a network of videos has."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.fields import require, science_field

VIDEO = "i3d"  # the kind that has them
_FIELDS = ("stem_frames", "temporal_strides", "temporal_kernels")


@dataclass(frozen=True, kw_only=True)
class VideoFields:
    """What makes a ResNet one of videos, in frames; every one is None in a network of images."""

    stem_frames: int | None = science_field(None)  # of the stem's convolution
    # of the stem's convolution, of its pool, and of the pool behind the first stage; 1 = no pooling of frames
    temporal_strides: tuple[int, ...] | None = science_field(None)
    # of the first convolution of each block, all stages' one after the other; 1 = within a frame
    temporal_kernels: tuple[int, ...] | None = science_field(None)

    def _check_video(self, kind: str, num_blocks: int, has_pool: bool) -> None:
        """Raises ValueError where a field is missing, out of its range, or another kind's."""
        for name in _FIELDS:
            value = getattr(self, name)
            require(
                (value is not None) == (kind == VIDEO),
                f"model.{name} is for kind {VIDEO}, which needs it: got {value} with kind {kind}",
            )
        if self.stem_frames is None or self.temporal_strides is None or self.temporal_kernels is None:
            return
        for name, kernels in (
            ("stem_frames", (self.stem_frames,)),
            ("temporal_kernels", self.temporal_kernels),
        ):
            require(
                all(kernel >= 1 and kernel % 2 for kernel in kernels),
                f"model.{name} must be odd, so that a frame has as many before it as behind, got {kernels}",
            )
        require(
            len(self.temporal_kernels) == num_blocks,
            f"model.temporal_kernels must have one for each of the {num_blocks} blocks, got {self.temporal_kernels}",
        )
        require(
            len(self.temporal_strides) == 3 and min(self.temporal_strides) >= 1,
            "model.temporal_strides must be three numbers, of the stem's convolution, its pool and the pool behind "
            f"the first stage, got {self.temporal_strides}",
        )
        require(
            has_pool or self.temporal_strides[1] == 1,
            f"model.temporal_strides must have 1 for the pool, which stem conv3x3 has not, got {self.temporal_strides}",
        )
