"""The norms over a sample as modules with torch's argument names."""

from __future__ import annotations

import math

import torch
import torch.fx
from torch import nn

from gnexp.library.arguments import Device, check_arguments, settle
from gnexp.nn.channel_layer_norm import ChannelLayerNormAct
from gnexp.nn.evonorm import EvoNormS0Act
from gnexp.nn.rms_norm import FilterResponseNormAct, GroupRMSNormAct
from gnexp.ops.group_norm import group_norm


class GroupNorm(nn.GroupNorm):
    """Group normalization (Wu & He 2018, Eq. 7) in the place of torch.nn.GroupNorm: its arguments and its state_dict.

    It adds a residual and ReLU in the same call (`gnexp.group_norm`), and stays right where the mean is far from zero.

    Args:
        num_groups: G.
        num_channels: C, a multiple of G.
        eps: added to the variance.
        affine: whether it has a weight and a bias.
        device: of the parameters.
        dtype: likewise.
        bias: whether it has a bias, where it is affine.
        relu: whether ReLU follows.
    """

    name = ""  # in the model, where convert has put it there

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        relu: bool = False,
    ) -> None:
        check_arguments(
            num_groups=num_groups, num_channels=num_channels, eps=eps, affine=affine, bias=bias, relu=relu
        )
        super().__init__(num_groups, num_channels, eps, affine, device, dtype)
        if not bias:  # not every torch has this argument
            self.register_parameter("bias", None)
        self.relu = relu

    def reset_parameters(self) -> None:
        """Weight 1 and bias 0, of those that there are; not every torch's asks for that."""
        for parameter, start in ((self.weight, nn.init.ones_), (self.bias, nn.init.zeros_)):
            if parameter is not None:
                start(parameter)

    def forward(self, input: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        """Input and residual (N, C, *) -> (N, C, *).

        Raises:
            ValueError: one value per group, or as `gnexp.group_norm`.
        """
        arguments = (self.num_groups, self.weight, self.bias, self.eps, residual, self.relu)
        return _normalize(input, *arguments, where=f"layer {self.name}: " if self.name else "")

    def extra_repr(self) -> str:
        return super().extra_repr() + (", relu=True" if self.relu else "")


def _normalize(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    eps: float,
    residual: torch.Tensor | None,
    relu: bool,
    *,
    where: str,
) -> torch.Tensor:
    if math.prod(x.shape[1:]) == num_groups:
        raise ValueError(
            f"{where}one value per group normalizes to nothing, got input {tuple(x.shape)} and num_groups="
            f"{num_groups}; use fewer groups, such as channels_per_group=16 of gnexp.convert, or larger images"
        )
    return group_norm(x, num_groups, weight, bias, eps, residual, relu)


torch.fx.wrap("_normalize")  # to a tracer one operation: what it looks at are shapes


class GroupRMSNorm(GroupRMSNormAct):
    """Divides each group of channels of a sample by its root mean square: group norm that subtracts no mean.

    Args:
        num_groups: G.
        num_channels: C, a multiple of G.
        eps: added to the mean square.
        affine: whether weight and bias are trained and kept.
        device: of the parameters.
        dtype: likewise.
        relu: whether ReLU follows.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        relu: bool = False,
    ) -> None:
        check_arguments(num_groups=num_groups, num_channels=num_channels, eps=eps, affine=affine, relu=relu)
        super().__init__(num_channels, num_groups=num_groups, channels_per_group=None, eps=eps, relu=relu)
        settle(self, affine, device, dtype)
        self.check()


class LayerNorm2d(ChannelLayerNormAct):
    """Layer normalization of the channels at each position of (N, C, *) (ConvNeXt's; Liu et al. 2022).

    Args:
        num_channels: C, at least two.
        eps: added to the variance.
        affine: whether weight and bias are trained and kept.
        device: of the parameters.
        dtype: likewise.
        relu: whether ReLU follows.
    """

    def __init__(
        self,
        num_channels: int,
        eps: float = 1e-6,
        affine: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        relu: bool = False,
    ) -> None:
        check_arguments(num_channels=num_channels, eps=eps, affine=affine, relu=relu)
        super().__init__(num_channels, eps=eps, relu=relu)
        settle(self, affine, device, dtype)
        self.check()


class FilterResponseNorm(FilterResponseNormAct):
    """Filter response normalization and its thresholded linear unit (Singh & Krishnan 2019).

    Args:
        num_channels: C.
        eps: added to the mean square.
        affine: whether weight and bias are trained and kept.
        device: of the parameters.
        dtype: likewise.
        relu: whether the thresholded linear unit follows.
    """

    def __init__(
        self,
        num_channels: int,
        eps: float = 1e-6,
        affine: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        relu: bool = True,
    ) -> None:
        check_arguments(num_channels=num_channels, eps=eps, affine=affine, relu=relu)
        super().__init__(num_channels, eps=eps, relu=relu)
        settle(self, affine, device, dtype)


class EvoNormS0(EvoNormS0Act):
    """EvoNorm-S0 (Liu et al. 2020), norm and activation in one.

    Args:
        num_groups: G.
        num_channels: C, a multiple of G.
        eps: added to the variance.
        affine: whether weight and bias are trained and kept.
        device: of the parameters.
        dtype: likewise.
        relu: whether it normalizes and activates; if not it is weight and bias alone, as in its authors' code.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        relu: bool = True,
    ) -> None:
        check_arguments(num_groups=num_groups, num_channels=num_channels, eps=eps, affine=affine, relu=relu)
        super().__init__(num_channels, num_groups=num_groups, channels_per_group=None, eps=eps, relu=relu)
        settle(self, affine, device, dtype)
        self.check()
