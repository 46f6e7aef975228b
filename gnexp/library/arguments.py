"""The arguments that the norms and gnexp.convert take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from gnexp.config.arguments import check_count, check_eps, check_flag, check_range
from gnexp.nn.norm_act import NormAct

Device = torch.device | str | int | None


# Infinite r_max and d_max bound nothing.
_CHECKS: dict[str, Callable[[str, Any], None]] = {
    **dict.fromkeys(("affine", "bias", "relu", "strict"), check_flag),
    **dict.fromkeys(
        ("num_groups", "channels_per_group", "num_channels", "num_features", "workers"), check_count
    ),
    "eps": check_eps,
    "momentum": partial(check_range, low=0, high=1),
    "r_max": partial(check_range, low=1),
    "d_max": partial(check_range, low=0),
}


def check_arguments(**given: Any) -> None:
    """Raises ValueError where one of these, by its name, is nothing that a norm can take."""
    for key, value in given.items():
        _CHECKS[key](key, value)


def settle(norm: NormAct, affine: bool, device: Device, dtype: torch.dtype | None) -> None:
    """Puts a new norm where it belongs; without an affine map its weight and bias are None, as torch's are."""
    if not affine:
        for key in ("weight", "bias"):
            norm.register_parameter(key, None)
    norm.to(device=device, dtype=dtype)
