"""What `gnexp.convert` has done: layer by layer, and in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ConvertedLayer:
    """One norm that took another one's place."""

    name: str  # in the model; "" is the model itself
    channels: int
    old: str  # class of the old norm: BatchNorm2d
    new: str  # class of the new one: GroupNorm
    num_groups: int | None = None  # None where the new norm has no groups
    misfit: str = ""  # what was asked for and does not divide the channels: num_groups=32
    other_names: tuple[str, ...] = ()  # of a shared norm
    was_frozen: bool = False  # weight and bias did not train, and do not now

    def __str__(self) -> str:
        words = f"{self.name or 'the model itself'}: {self.channels} channels"
        if self.num_groups is not None:
            words += f", {self.num_groups} group{'' if self.num_groups == 1 else 's'}"
        if self.misfit:
            words += f" ({self.misfit} does not divide them)"
        if self.other_names:
            words += f", shared with {', '.join(self.other_names)}"
        return words


@dataclass(frozen=True)
class Conversion:
    """The result of one call. As text, the summary and a line for each layer."""

    norm: str
    layers: tuple[ConvertedLayer, ...]  # in the model's order
    standardized: tuple[str, ...] = ()  # convolutions whose weights are standardized now

    @property
    def misfits(self) -> tuple[ConvertedLayer, ...]:
        """The layers that got another number of groups than was asked for."""
        return tuple(layer for layer in self.layers if layer.misfit)

    @property
    def frozen(self) -> tuple[ConvertedLayer, ...]:
        """The layers whose weight and bias did not train, and do not now."""
        return tuple(layer for layer in self.layers if layer.was_frozen)

    @property
    def summary(self) -> str:
        """One line: what was converted to what, and what a person may not expect."""
        parts = [f"converted {_count(self.layers, 'layer')} to {self.norm}"]
        if self.standardized:
            parts.append(f"{_count(self.standardized, 'convolution')} standardized")
        if self.misfits:
            parts.append(f"{len(self.misfits)} with other groups than asked for, the first {self.misfits[0]}")
        if self.frozen:
            parts.append(f"{len(self.frozen)} had a frozen weight and bias, which still do not train")
        return "; ".join(parts)

    def __str__(self) -> str:
        return "\n".join([self.summary, *map(str, self.layers)])


def _count(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
