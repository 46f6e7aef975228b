"""What every norm says of itself: the fields and the traits that its own class fills in.

The kinds are in gnexp/nn/kinds, and in installed packages (gnexp/config/packages.py). Nothing asks for a norm's name:
it asks for a trait.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from gnexp.config.fields import check, require, science_field, value_of
from gnexp.config.kinds import build_kind


class NormName(NamedTuple):
    """How a norm is called under one of its labels."""

    title: str  # in tables and figures: GN
    words: str  # group normalization
    legend: str = ""  # what it is, where a reader of the paper may not know it
    # Of its line, in every figure. Hue is a name of HUES in report/render/figures.py that no other norm has, "" is ink;
    # the marker is matplotlib's. Ink and a circle are what a package's norm gets that says nothing.
    hue: str = ""
    marker: str = "o"


@dataclass(frozen=True, kw_only=True)
class NormConfig:
    """A normalization: what it averages over, and its constants.

    Its traits:
        builder: module:function that takes this config and the number of virtual workers and gives a NormFactory.
        conv_builder: module:function that takes this config and gives the ConvFactory of the convolutions before it.
        module: module:class with torch's argument names that gnexp.convert puts in place; None = its builder's layer.
        names: label without numbers -> how it is called; the words of a site among them, where it can be at one.
        site_words: how a command line names it at a site of a detector beside the backbone.
        has_running_stats: whether it evaluates with running statistics; over worker each one has its own.
        statistics_over: sample, worker or all_workers: what one mean is taken over; None for no statistics.
        takes_groups: whether its channels are normalized in groups, by the operators of ops/group_norm.py.
        needs_resident_workers: whether all workers of a step have to be in one pass.
        own_activation: whether it has a nonlinearity of its own instead of ReLU.
        trains_gamma: whether it has a gamma that could start at 0.
        freezes: the kind whose statistics, gamma and beta it holds fixed.
    """

    group: ClassVar[str] = "norm"
    builder: ClassVar[str]
    conv_builder: ClassVar[str] = "gnexp.nn.norm_act:build_plain_conv"
    module: ClassVar[str | None] = None
    names: ClassVar[Mapping[str, NormName]]
    site_words: ClassVar[tuple[str, ...]] = ()
    has_running_stats: ClassVar[bool] = False
    statistics_over: ClassVar[str | None] = None
    takes_groups: ClassVar[bool] = False
    needs_resident_workers: ClassVar[bool] = False
    own_activation: ClassVar[bool] = False
    trains_gamma: ClassVar[bool] = True
    freezes: ClassVar[str | None] = None

    kind: str = science_field()

    def __post_init__(self) -> None:
        require(self.kind == type(self).kind, f"norm.kind must be {type(self).kind} here, got {self.kind}")
        check(self, "norm.")
        self.check_together()

    def check_together(self) -> None:
        """Raises ValueError where fields do not fit together."""

    def resolved(self, num_groups: int) -> NormConfig:
        """The norm as it is hashed and built, of a model whose default number of groups is known."""
        return self

    def fitting(self, channels: int) -> NormConfig:
        """The norm of a layer of so many channels, in a network that was not made for groups."""
        return self

    @classmethod
    def at_site(cls, word: str, backbone: NormConfig, num_groups: int) -> NormConfig:
        """The norm that one of site_words names, with the constants of the backbone's norm.

        Unless a kind says otherwise its own, but the backbone's eps if both have one.
        """
        eps = value_of(backbone, "eps")
        has_eps = any(f.name == "eps" for f in dataclasses.fields(cls))
        own: dict[str, Any] = {"eps": eps} if has_eps and eps is not None else {}
        return cls(**own)

    def torch_layer(self, channels: str) -> str | None:
        """The Python of torch's layer that computes the same in evaluation; None where it has no layer.

        Args:
            channels: the Python of C.
        """
        return None

    @property
    def label(self) -> str:
        """Short name in run directories and tables: bn, brn, ln, in, gn8, gnc16, none."""
        return self.kind

    @property
    def word(self) -> str:
        """Its label without numbers, as a command line has it: bn, ln, gn."""
        return self.kind


def norm_config(*, kind: str = "gn", **values: Any) -> NormConfig:
    """The config of a norm, from its kind and that kind's fields.

    Raises:
        ValueError: as build_kind.
    """
    found: NormConfig = build_kind(NormConfig.group, {"kind": kind, **values})
    return found
