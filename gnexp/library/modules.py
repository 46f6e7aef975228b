"""The norms as modules with torch's argument names."""

from __future__ import annotations

import math

import torch
import torch.fx
from torch import nn

from gnexp.nn.batch_norm import BatchNormAct, WorkerNormAct
from gnexp.nn.batch_renorm import BatchRenormAct
from gnexp.nn.norm_act import NormAct
from gnexp.ops.group_norm import group_norm

_Device = torch.device | str | int | None


class GroupNorm(nn.GroupNorm):
    """Group normalization (Wu & He 2018, Eq. 7) in the place of torch.nn.GroupNorm: its arguments and its state_dict.

    It adds a residual and ReLU in the same call (`gnexp.group_norm`), and stays right where the mean is far from zero.
    A second gradient is not promised.

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
        device: _Device = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
        relu: bool = False,
    ) -> None:
        super().__init__(num_groups, num_channels, eps, affine, device, dtype)
        if not bias:  # not every torch has this argument
            self.register_parameter("bias", None)
        self.relu = relu

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


class GhostBatchNorm(BatchNormAct):
    """Batch normalization over virtual workers, known as ghost batch norm: the statistics of each are its own.

    In training, position p of a batch belongs to worker p mod workers. In evaluation worker 0's running statistics
    serve, which is what users of DistributedDataParallel get. Running statistics are (workers, C); a state_dict of
    torch's batch norm, (C,), serves every worker.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: weight of the new batch in the running statistics.
        affine: whether weight and bias are trained and kept.
        device: of parameters and buffers.
        dtype: likewise.
        workers: V; a training batch must be a multiple of it.
        relu: whether ReLU follows.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        device: _Device = None,
        dtype: torch.dtype | None = None,
        *,
        workers: int = 1,
        relu: bool = False,
    ) -> None:
        super().__init__(num_features, workers=workers, eps=eps, momentum=momentum, relu=relu)
        self.num_features = num_features
        _settle(self, affine, device, dtype)


class BatchRenorm(BatchRenormAct):
    """Batch renormalization (Ioffe 2017) with the bounds that its attributes r_max and d_max have at each step.

    Ioffe begins with plain batch normalization, r_max=1 and d_max=0, and raises them to 3 and 5 during the first
    epochs: a training loop does so by setting the attributes. Workers and state_dict are as GhostBatchNorm's, with a
    running std in place of the variance.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: weight of the new batch in the running statistics.
        affine: whether weight and bias are trained and kept.
        device: of parameters and buffers.
        dtype: likewise.
        r_max: bound of r, which stays in [1 / r_max, r_max].
        d_max: bound of the size of d.
        workers: V; a training batch must be a multiple of it.
        relu: whether ReLU follows.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        device: _Device = None,
        dtype: torch.dtype | None = None,
        *,
        r_max: float = 3.0,
        d_max: float = 5.0,
        workers: int = 1,
        relu: bool = False,
    ) -> None:
        super().__init__(
            num_features,
            workers=workers,
            eps=eps,
            momentum=momentum,
            r_max=r_max,
            d_max=d_max,
            ramp=(0.0, 0.0, 0.0),
            relu=relu,
        )
        self.num_features = num_features
        # Its ramp's place; here r_max and d_max say it all.
        self.register_buffer("done_epochs", self.done_epochs, persistent=False)
        _settle(self, affine, device, dtype)

    @property
    def bounds(self) -> tuple[float, float]:
        """r_max and d_max as they are now."""
        return self.r_max, self.d_max

    def extra_repr(self) -> str:
        return f"{WorkerNormAct.extra_repr(self)}, r_max={self.r_max}, d_max={self.d_max}"


def _settle(norm: NormAct, affine: bool, device: _Device, dtype: torch.dtype | None) -> None:
    """Puts a new norm where it belongs; without an affine map it has the constants 1 and 0, which no file holds."""
    if not affine:
        for key in ("weight", "bias"):
            value = getattr(norm, key).detach()
            delattr(norm, key)
            norm.register_buffer(key, value, persistent=False)
    norm.to(device=device, dtype=dtype)
