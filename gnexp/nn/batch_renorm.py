"""Batch renormalization with virtual workers (Ioffe 2017)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from gnexp.nn.batch_norm import WorkerNormAct
from gnexp.nn.kinds.batch_renorm import BatchRenormConfig
from gnexp.nn.norm_act import NormAct, NormFactory
from gnexp.nn.step import Step
from gnexp.ops import reference
from gnexp.ops.moments import channel_moments


class BatchRenormAct(WorkerNormAct):
    """Batch renormalization (Ioffe 2017, Algorithm 1): batch statistics, corrected towards the running ones.

    Each worker's correction r, d comes from its own running statistics; no gradient goes through it. The bounds of
    r and d grow linearly with the epochs of the run, from plain batch normalization at first.

    Args:
        channels: C.
        workers: V.
        eps: added to the variance.
        momentum: weight of the new batch in the running statistics.
        r_max: final bound of r, which stays in [1 / r_max, r_max].
        d_max: final bound of the size of d.
        ramp: epochs after which it leaves plain batch normalization, reaches d_max, and reaches r_max.
        relu: whether ReLU follows.
    """

    running_std: torch.Tensor  # (V, C): of the running std, as Algorithm 1 has it, eps inside the root
    done_epochs: torch.Tensor

    def __init__(
        self,
        channels: int,
        *,
        workers: int,
        eps: float,
        momentum: float,
        r_max: float,
        d_max: float,
        ramp: tuple[float, float, float],
        relu: bool,
    ) -> None:
        super().__init__(channels, workers=workers, eps=eps, momentum=momentum, relu=relu)
        self.r_max, self.d_max, self.ramp = r_max, d_max, ramp
        self.register_buffer("running_std", torch.ones(workers, channels))
        # In the checkpoint, so that weights alone say how far the ramp is; the number beside it spares a GPU's queue
        # a wait in each step.
        self.register_buffer("done_epochs", torch.zeros((), dtype=torch.float64))
        self._done_epochs = 0.0

    def begin_step(self, step: Step) -> None:
        """Takes the ramp to where the run stands."""
        self._done_epochs = step.done_epochs
        self.done_epochs.fill_(step.done_epochs)

    @property
    def bounds(self) -> tuple[float, float]:
        """r_max and d_max as the ramp has them now: 1 and 0 at first."""
        plain, d_reached, r_reached = self.ramp
        r_part, d_part = (
            min(1.0, max(0.0, (self._done_epochs - plain) / (reached - plain)))
            for reached in (r_reached, d_reached)
        )
        return 1.0 + (self.r_max - 1.0) * r_part, self.d_max * d_part

    def normalize_by_running_stats(self, x: torch.Tensor) -> torch.Tensor:
        mean, variance = self.running_mean[0], self.running_std[0].square()
        eps = 0.0  # it is in the running std
        return F.batch_norm(x, mean, variance, *self.affine(mean), False, 0.0, eps)

    def normalize_folded(self, x: torch.Tensor) -> torch.Tensor:
        folded = self.fold(x)
        with torch.no_grad():
            mean, variance = channel_moments(folded)
            running = self._running()
            batch_mean = mean.view_as(running[0])
            batch_std = (variance + self.eps).sqrt_().view_as(running[0])
            r, d = reference.renorm_correction(batch_mean, batch_std, *running, *self.bounds)
            self._track(batch_mean, batch_std)
        # gamma (x_hat r + d) + beta = x_hat (gamma r) + (gamma d + beta): the native call with other parameters.
        gamma, beta = self.affine(self.running_mean)
        weight = (gamma * r).view(-1)
        bias = torch.addcmul(beta, gamma, d).view(-1)
        return F.batch_norm(folded, None, None, weight, bias, True, 0.0, self.eps)

    def normalize_plainly(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x  # as the native call has it
        y, batch_mean, batch_std = reference.batch_renorm(
            wide, self.num_active, *self.affine(self.running_mean), self.eps, *self._running(), *self.bounds
        )
        self._track(batch_mean.detach(), batch_std.detach())
        return y.to(x.dtype)

    def set_running_stats(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        self.running_mean.copy_(mean.expand(self.workers, -1))
        self.running_std.copy_((variance + self.eps).sqrt().expand(self.workers, -1))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, r_max={self.r_max}, d_max={self.d_max}, ramp={self.ramp}"

    def _running(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and std of the active workers, views."""
        return self.running_mean[self.active], self.running_std[self.active]

    def _track(self, batch_mean: torch.Tensor, batch_std: torch.Tensor) -> None:
        running_mean, running_std = self._running()
        running_mean.lerp_(batch_mean.to(running_mean.dtype), self.momentum)
        running_std.lerp_(batch_std.to(running_std.dtype), self.momentum)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if not self.done_epochs.is_meta:
            self._done_epochs = float(self.done_epochs)


def build_batch_renorm(config: BatchRenormConfig, workers: int) -> NormFactory:
    """The factory of batch renorms whose statistics are each virtual worker's own."""
    plain, d_reached, r_reached = config.renorm_ramp

    def make(channels: int, *, relu: bool = True) -> NormAct:
        return BatchRenormAct(
            channels,
            workers=workers,
            eps=config.eps,
            momentum=config.momentum,
            r_max=config.r_max,
            d_max=config.d_max,
            ramp=(plain, d_reached, r_reached),
            relu=relu,
        )

    return make
