"""A ResNet inflated to videos (I3D, Carreira & Zisserman 2017), as the code that Section 4.3 follows has it.

Not the variant that many copy, whose stages have temporal strides for clips of 8 frames: here 32 frames become 16, 8
and 4 in the stem and behind the first stage, and stay 4.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from gnexp.models.kinds.i3d import I3DConfig
from gnexp.models.resnet import BasicBlock, Bottleneck, ResNet
from gnexp.nn.dropout import KeyedDropout
from gnexp.nn.norm_act import ConvFactory, NormFactory, plain_conv
from gnexp.nn.pointwise import StridedPointwise, StridedPointwise3d


class I3D(ResNet):
    """The ResNet of the same blocks and widths on clips; the first convolution of some blocks spans frames.

    Args:
        config: a ResNet's, and stem_frames, temporal_strides, temporal_kernels and dropout.
        norm: makes each norm, which then normalizes over frames too.
        channels: of the frames.
        num_classes: of the classifier.
        conv: what the norm makes of each convolution, inflated.
    """

    def __init__(
        self,
        config: I3DConfig,
        norm: NormFactory,
        *,
        channels: int,
        num_classes: int,
        conv: ConvFactory = plain_conv,
    ) -> None:
        super().__init__(config, norm, channels=channels, num_classes=num_classes)
        stem, pool, self.pooled_frames = config.temporal_strides
        frames = {self.conv1: (config.stem_frames, stem)}
        blocks = [block for stage in self.stages for block in stage.children()]
        for block, kernel in zip(blocks, config.temporal_kernels, strict=True):
            assert isinstance(block, BasicBlock | Bottleneck)
            frames[block.conv1] = (kernel, 1)
        for module in list(self.modules()):
            for name, flat in list(module.named_children()):
                if isinstance(flat, nn.Conv2d):
                    setattr(module, name, conv(_inflated(flat, *frames.get(flat, (1, 1)))))
        self.stride = config.stem_stride * 2 ** (self.num_stages - 1)  # pixels from one feature to the next
        if not isinstance(self.maxpool, nn.Identity):
            self.maxpool = nn.MaxPool3d((pool, 3, 3), stride=(pool, 2, 2), padding=(0, 1, 1))
            self.stride *= 2
        self.dropout = KeyedDropout(config.dropout, stream="dropout")

    def features(self, clips: torch.Tensor) -> torch.Tensor:
        """(N, channels, T, H, W) clips -> the last stage's (N, C, t, h, w).

        Raises:
            ValueError: clips of which the poolings leave no frame.
        """
        x = self.stem(clips)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index == 0 and self.pooled_frames > 1:
                if x.shape[2] < self.pooled_frames:
                    raise ValueError(
                        f"clips of {clips.shape[2]} frames leave {x.shape[2]} for a pooling of {self.pooled_frames}; "
                        "raise data.clip_length, or lower model.temporal_strides"
                    )
                x = _pool_frames(x, self.pooled_frames)
        return x

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """(N, channels, T, H, W) clips -> (N, num_classes) logits."""
        logits: torch.Tensor = self.fc(self.dropout(self.features(clips).mean((2, 3, 4))))
        return logits

    def predict(self, clips: torch.Tensor, crop: int) -> torch.Tensor:
        """Fully convolutional: class probabilities at every position of a training crop, averaged.

        Args:
            clips: (N, channels, T, H, W), in evaluation mode.
            crop: pixels, the side of the clips that the network trained on.

        Returns:
            (N, num_classes), each row's sum 1.
        """
        maps = self.features(clips).mean(2)
        rows, columns = (min(-(-crop // self.stride), side) for side in maps.shape[2:])
        positions = F.avg_pool2d(maps, (rows, columns), stride=1)
        return F.softmax(self.fc(positions.movedim(1, 3)).float(), dim=3).mean((1, 2))

    def from_images(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
        """The weights of the network of images, inflated; None where they are a network of videos' already.

        Each kernel is repeated over its frames and divided by their number, so that a clip of one picture gives what
        the picture gave. The classifier keeps its own: it was made for other classes.
        """
        own = self.state_dict()
        if any(value.dim() == 5 for value in weights.values()):
            return None
        inflated = {key: value for key, value in weights.items() if not key.startswith("fc.")}
        for key, value in inflated.items():
            if value.dim() == 4 and key in own and own[key].dim() == 5:
                frames = own[key].shape[2]
                inflated[key] = (value / frames).unsqueeze(2).repeat(1, 1, frames, 1, 1)
        return inflated | {key: value for key, value in own.items() if key.startswith("fc.")}


def build_i3d(
    config: I3DConfig, norm: NormFactory, *, channels: int, num_classes: int, conv: ConvFactory = plain_conv
) -> I3D:
    """An I3D as configured, not yet initialised."""
    return I3D(config, norm, channels=channels, num_classes=num_classes, conv=conv)


def _pool_frames(x: torch.Tensor, num: int) -> torch.Tensor:
    """The largest of each num frames, (N, C, T, H, W) -> (N, C, T // num, H, W)."""
    if x.is_cuda:
        return F.max_pool3d(x, (num, 1, 1))
    # The same bits and gradients, where torch's pooling takes several times as long on a CPU (docs/log.md).
    length = x.shape[2] // num
    frames = x[:, :, : length * num].reshape(*x.shape[:2], length, num, *x.shape[3:])
    largest: torch.Tensor
    largest, *others = frames.unbind(3)
    for other in others:
        largest = torch.where((other > largest) | other.isnan(), other, largest)
    return largest


def _inflated(conv: nn.Conv2d, frames: int, stride: int) -> nn.Conv3d:
    """A convolution of the same shape that spans some frames, an odd number."""
    assert isinstance(conv.padding, tuple) and conv.bias is None, "a ResNet's convolutions"
    cls = StridedPointwise3d if isinstance(conv, StridedPointwise) else nn.Conv3d
    (rows, columns), (down, across), (above, beside) = conv.kernel_size, conv.stride, conv.padding
    return cls(
        conv.in_channels,
        conv.out_channels,
        (frames, rows, columns),
        (stride, down, across),
        (frames // 2, above, beside),
        bias=False,
    )
