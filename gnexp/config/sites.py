"""The norms beside a detector's backbone: from what a command line says of a site to the norm that is there."""

from __future__ import annotations

from gnexp.config.kinds import classes_of
from gnexp.config.norm import NormConfig

SITES = ("fpn_norm", "box_norm", "mask_norm")
SAME = "same"  # the backbone's norm


def site_spellings() -> tuple[str, ...]:
    """What a site that has a norm may be called."""
    return (SAME, *(word for cls in classes_of("norm").values() for word in cls.site_words))


def resolve_site(site: NormConfig | str | None, norm: NormConfig, num_groups: int) -> NormConfig | None:
    """The norm of a site, with the constants of the backbone's; None for a bias instead.

    Args:
        site: same (what the backbone has, but no norm where that takes no statistics), one of site_spellings or
            None; a norm that has been resolved stays.
        norm: the backbone's.
        num_groups: of a norm with groups, which names none.
    """
    if site is None or isinstance(site, NormConfig):
        return site
    if site == SAME:
        return norm if norm.statistics_over else None
    cls = next(cls for cls in classes_of("norm").values() if site in cls.site_words)
    found: NormConfig = cls.at_site(site, norm, num_groups)
    return found
