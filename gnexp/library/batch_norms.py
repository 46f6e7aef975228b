"""The norms over a batch's images as modules with torch's argument names."""

from __future__ import annotations

import torch

from gnexp.library.arguments import Device, check_arguments, settle
from gnexp.nn.batch_norm import BatchNormAct, WorkerNormAct
from gnexp.nn.batch_renorm import BatchRenormAct


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
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        workers: int = 1,
        relu: bool = False,
    ) -> None:
        check_arguments(
            num_features=num_features, eps=eps, momentum=momentum, affine=affine, workers=workers, relu=relu
        )
        super().__init__(num_features, workers=workers, eps=eps, momentum=momentum, relu=relu)
        self.num_features = num_features
        settle(self, affine, device, dtype)


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
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        r_max: float = 3.0,
        d_max: float = 5.0,
        workers: int = 1,
        relu: bool = False,
    ) -> None:
        check_arguments(
            num_features=num_features, eps=eps, momentum=momentum, affine=affine, workers=workers, relu=relu
        )
        check_arguments(r_max=r_max, d_max=d_max)
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
        settle(self, affine, device, dtype)

    @property
    def bounds(self) -> tuple[float, float]:
        """r_max and d_max as they are now."""
        return self.r_max, self.d_max

    def extra_repr(self) -> str:
        return f"{WorkerNormAct.extra_repr(self)}, r_max={self.r_max}, d_max={self.d_max}"
