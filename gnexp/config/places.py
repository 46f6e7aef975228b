"""The norms beside a detector's backbone: from what a command line says of a place to the norm that is there."""

from __future__ import annotations

from gnexp.config.kinds import classes_of
from gnexp.config.norm import NormConfig

PLACES = ("fpn_norm", "box_norm", "mask_norm")
SAME = "same"  # the backbone's norm


def place_spellings() -> tuple[str, ...]:
    """What a place that has a norm may be called."""
    return (SAME, *(word for cls in classes_of("norm").values() for word in cls.place_words))


def resolve_place(place: NormConfig | str | None, norm: NormConfig, num_groups: int) -> NormConfig | None:
    """The norm of a place, with the constants of the backbone's; None for a bias instead.

    Args:
        place: same (what the backbone has, but no norm where that takes no statistics), one of place_spellings or
            None; a norm that has been resolved stays.
        norm: the backbone's.
        num_groups: of a norm with groups, which names none.
    """
    if place is None or isinstance(place, NormConfig):
        return place
    if place == SAME:
        return norm if norm.statistics_over else None
    cls = next(cls for cls in classes_of("norm").values() if place in cls.place_words)
    found: NormConfig = cls.at_place(place, norm, num_groups)
    return found
