"""The norms beside a detector's backbone: from what a command line says of a place to the norm that is there."""

from __future__ import annotations

from gnexp.config.norm import NormConfig

PLACES = ("fpn_norm", "box_norm", "mask_norm")
SPELLINGS = ("same", "gn", "ln", "bn")  # of a place that has a norm
_MOMENTUM = 0.1  # of batch norm where the backbone's norm has none: conf/norm/bn.yaml's


def resolve_place(place: NormConfig | str | None, norm: NormConfig, num_groups: int) -> NormConfig | None:
    """The norm of a place, with the constants of the backbone's; None for a bias instead.

    Args:
        place: same (what the backbone has, but no norm where that has no statistics to take), gn, ln, bn or None; a
            norm that has been resolved stays.
        norm: the backbone's.
        num_groups: of gn, which names none.
    """
    if place is None or isinstance(place, NormConfig):
        return place
    if place == "same":
        return None if norm.kind in ("frozen_bn", "none") else norm
    if place == "bn":
        return NormConfig(kind="bn", eps=norm.eps, momentum=norm.momentum or _MOMENTUM)
    return NormConfig(kind="gn", num_groups=1 if place == "ln" else num_groups, eps=norm.eps, impl=norm.impl)


def spell_place(place: NormConfig) -> str:
    """How a command line names the norm of a place, and tables do: its groups follow from the model's."""
    return place.label if place.label in ("ln", "in") else place.kind
