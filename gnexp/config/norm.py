"""The schema of conf/norm."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.fields import hardware_field, require, require_at_least, science_field


@dataclass(frozen=True, kw_only=True)
class NormConfig:
    """A normalization: what it averages over, and its constants.

    LN is gn with num_groups=1 and IN is gn with channels_per_group=1 (Section 3.1), so neither has a kind of its own.
    """

    kind: str = science_field("gn")
    num_groups: int | None = science_field(None)
    channels_per_group: int | None = science_field(None)
    eps: float = science_field(1e-5)  # the paper does not state it
    # bn, brn: weight of the new batch in running statistics; not in the paper
    momentum: float | None = science_field(None)
    r_max: float | None = science_field(None)  # brn: bound of the correction of the deviation, at least 1
    d_max: float | None = science_field(None)  # brn: bound of the correction of the mean, in deviations
    # brn: epochs after which it leaves plain BN, reaches d_max and reaches r_max
    renorm_ramp: tuple[float, ...] | None = science_field(None)
    impl: str = hardware_field("auto")  # gn: auto | fused (Triton) | composed (torch's operators)

    def __post_init__(self) -> None:
        require(self.eps > 0, f"norm.eps must be positive, got {self.eps}")
        require(
            self.kind != "none" or self.eps == type(self).eps,
            f"norm.eps is for norms that divide by a std, got {self.eps} with kind {self.kind}; leave it out",
        )
        require_at_least(self, 1, "norm.", "num_groups", "channels_per_group")
        for name in ("num_groups", "channels_per_group"):
            value = getattr(self, name)
            require(
                value is None or self.kind == "gn",
                f"norm.{name} is for norm=gn, got {value} with kind {self.kind}",
            )
        require(
            self.num_groups is None or self.channels_per_group is None,
            "give norm.num_groups or norm.channels_per_group, not both: "
            f"got {self.num_groups} and {self.channels_per_group}",
        )
        require(
            self.impl in ("auto", "fused", "composed"),
            f"norm.impl must be auto, fused or composed, got {self.impl}",
        )
        require(
            self.impl == "auto" or self.kind == "gn",
            f"norm.impl is for norm=gn, got {self.impl} with kind {self.kind}",
        )
        self._check_constants()

    def _check_constants(self) -> None:
        """A kind has the constants that it uses, and no other's."""
        of_kind = {
            "momentum": ("bn", "brn"),
            **dict.fromkeys(("r_max", "d_max", "renorm_ramp"), ("brn",)),
        }
        for name, kinds in of_kind.items():
            value = getattr(self, name)
            require(
                (value is not None) == (self.kind in kinds),
                f"norm.{name} is for norm={' and '.join(kinds)}, which need it: got {value} with kind {self.kind}",
            )
        require(
            self.momentum is None or 0 < self.momentum <= 1,
            f"norm.momentum must be in (0, 1], got {self.momentum}",
        )
        require(self.r_max is None or self.r_max >= 1, f"norm.r_max must be at least 1, got {self.r_max}")
        require_at_least(self, 0, "norm.", "d_max")
        ramp = self.renorm_ramp
        require(
            ramp is None or (len(ramp) == 3 and 0 <= ramp[0] < min(ramp[1:])),
            "norm.renorm_ramp must be three epochs, the first the smallest: the end of plain BN, d_max reached, "
            f"r_max reached; got {ramp}",
        )

    @property
    def label(self) -> str:
        """Short name in run directories and tables: bn, brn, ln, in, gn8, gnc16, none."""
        if self.kind != "gn":
            return self.kind
        if self.num_groups == 1:
            return "ln"
        if self.channels_per_group == 1:
            return "in"
        return f"gn{self.num_groups}" if self.channels_per_group is None else f"gnc{self.channels_per_group}"
