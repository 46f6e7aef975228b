"""Batch renormalization's fields (Ioffe 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import ANY_TASK, require, science_field
from gnexp.config.norm import NormName
from gnexp.nn.kinds.batch_norm import RunningStats


@dataclass(frozen=True, kw_only=True)
class BatchRenormConfig(RunningStats):
    """Statistics per worker, corrected towards the running ones."""

    builder: ClassVar = "gnexp.nn.batch_renorm:build_batch_renorm"
    module: ClassVar = "gnexp.library.batch_norms:BatchRenorm"
    names: ClassVar = {"brn": NormName("BRN", "batch renormalization", hue="maroon", marker="*")}

    kind: str = science_field("brn")
    r_max: float = science_field(ge=1, title="bound of the correction of the std")
    d_max: float = science_field(ge=0, title="bound of the correction of the mean", unit="stds")
    # epochs after which it leaves plain BN, reaches d_max and reaches r_max
    renorm_ramp: tuple[float, ...] = science_field(
        title="end of plain BN, d_max reached, r_max reached", unit="epochs", left_open={ANY_TASK: ""}
    )

    def check_together(self) -> None:
        ramp = self.renorm_ramp
        require(
            len(ramp) == 3 and 0 <= ramp[0] < min(ramp[1:]),
            "norm.renorm_ramp must be three epochs, the first the smallest: the end of plain BN, d_max reached, "
            f"r_max reached; got {ramp}",
        )
