"""Group normalization, residual sum and ReLU in one call, by the implementation that the device allows."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gnexp.config.arguments import check_count, check_eps, check_flag
from gnexp.ops import composed, fused
from gnexp.ops.differentiable import is_transformed


@dataclass(frozen=True)
class Impl:
    """An implementation and why it was chosen."""

    name: str  # fused | composed
    reason: str


def choose_impl(wanted: str, device_type: str) -> Impl:
    """The implementation for a device: fused (Triton) where it can be had, else composed (torch's operators).

    Args:
        wanted: auto, fused or composed.
        device_type: torch.device.type of the tensors to come.

    Raises:
        ValueError: no such implementation, or fused was asked for and is unsupported.
    """
    if wanted not in ("auto", "fused", "composed"):
        raise ValueError(f"impl must be auto, fused or composed, got {wanted}")
    if wanted == "composed":
        return Impl("composed", "asked for")
    if device_type == "cuda" and fused.HAS_TRITON:
        return Impl("fused", "asked for" if wanted == "fused" else "a GPU with Triton")
    if wanted == "fused" and fused.HAS_TRITON and fused.is_interpreting():
        return Impl("fused", "asked for, by Triton's interpreter: TRITON_INTERPRET=1")
    lack = (
        "no Triton installed" if device_type == "cuda" else f"Triton needs a GPU, and this is {device_type}"
    )
    if wanted == "fused":
        raise ValueError(f"norm.impl=fused is unsupported here: {lack}; use norm.impl=auto")
    return Impl("composed", lack)


def group_norm(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    residual: torch.Tensor | None = None,
    relu: bool = False,
    impl: str = "auto",
) -> torch.Tensor:
    """relu(GN(x) * weight + bias + residual) (Wu & He 2018, Eq. 1 to 3 and 7), a new tensor of x's dtype.

    Statistics are taken in float32, in float64 for float64; weight and bias may be float32 while x is half precision.
    Autocast changes nothing. Under create_graph=True, and in a transform of torch.func (vmap,
    grad, ...), the gradients are autograd's, which can be differentiated again.

    Args:
        x: (N, C, *) with up to three trailing axes; N may be 0.
        num_groups: G; C must be a multiple of it.
        weight: gamma, (C,); None = 1.
        bias: beta, (C,); None = 0.
        eps: added to the variance.
        residual: of x's shape and dtype; left as it is.
        relu: whether ReLU follows.
        impl: auto, fused or composed.

    Raises:
        ValueError: shapes, dtypes or devices that do not go together, an argument that is no such thing, or an
            implementation that is unsupported.
    """
    for name, tensor in (("x", x), ("weight", weight), ("bias", bias), ("residual", residual)):
        if not isinstance(tensor, torch.Tensor) and (tensor is not None or name == "x"):
            raise ValueError(f"{name} must be a torch.Tensor, got a {type(tensor).__name__}")
    check_count("num_groups", num_groups)
    check_eps("eps", eps)
    check_flag("relu", relu)
    if weight is None:
        weight = _constant(x, 1.0)
    if bias is None:
        bias = _constant(x, 0.0)
    _check(x, num_groups, weight, bias, residual)
    call = fused.group_norm if _is_fused(impl, x.device.type) else composed.group_norm
    return call(x, num_groups, weight, bias, eps, residual, relu)


def _constant(x: torch.Tensor, value: float) -> torch.Tensor:
    """(C,) of one value, of the dtype that statistics have."""
    dtype = torch.float32 if x.dtype in composed.HALF else x.dtype
    return torch.full(x.shape[1:2], value, dtype=dtype, device=x.device)


def _is_fused(wanted: str, device_type: str) -> bool:
    # On shapes alone (the meta device) each gives the same, and nothing has to be installed.
    if device_type == "meta" or wanted == "composed":
        return False
    return choose_impl(wanted, device_type).name == "fused" and not is_transformed()


def _check(
    x: torch.Tensor,
    num_groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    residual: torch.Tensor | None,
) -> None:
    if not 2 <= x.dim() <= 5 or not x.is_floating_point():
        raise ValueError(
            f"x must be (N, C, *) of floating point with 2 to 5 axes, got {tuple(x.shape)} of {x.dtype}"
        )
    channels = x.shape[1]
    if channels % num_groups:
        raise ValueError(f"num_groups must divide the channels evenly, got C={channels} and G={num_groups}")
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter.shape != (channels,):
            raise ValueError(f"{name} must be ({channels},) like x's channels, got {tuple(parameter.shape)}")
        if parameter.device != x.device:
            raise ValueError(f"{name} must be on x's device, got {parameter.device} and {x.device}")
        if parameter.dtype not in (x.dtype, torch.float32):
            raise ValueError(f"{name} must be float32 or of x's dtype, got {parameter.dtype} and {x.dtype}")
    if residual is not None and (
        residual.shape != x.shape or residual.dtype != x.dtype or residual.device != x.device
    ):
        raise ValueError(
            f"residual must be like x, got {tuple(residual.shape)} of {residual.dtype} on {residual.device} "
            f"and {tuple(x.shape)} of {x.dtype} on {x.device}"
        )
