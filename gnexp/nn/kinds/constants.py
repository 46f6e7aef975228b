"""The constant of every norm that divides by a std, and how torch's layers spell it."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.fields import ANY_TASK, science_field
from gnexp.config.norm import NormConfig

TORCHS_EPS = 1e-5  # of torch's norms, unless told otherwise


@dataclass(frozen=True, kw_only=True)
class NormWithEps(NormConfig):
    """A norm that divides by a std."""

    # the paper does not state it
    eps: float = science_field(TORCHS_EPS, gt=0, title="eps added to the variance", left_open={ANY_TASK: ""})

    @property
    def eps_argument(self) -> str:
        """Eps as a further argument of torch's layer; empty where it is torch's own."""
        return "" if self.eps == TORCHS_EPS else f", eps={self.eps}"
