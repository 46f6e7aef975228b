"""What `gnexp.convert` has done: layer by layer, and in one line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConvertedLayer:
    """One norm that took another one's place."""

    name: str  # in the model; "" is the model itself
    channels: int
    old: str  # class of the old norm: BatchNorm2d
    new: str  # class of the new one: GroupNorm
    num_groups: int | None = None  # None where the new norm has no groups
    misfit: str = ""  # why it is another number of groups than asked for; empty where it is not
    other_names: tuple[str, ...] = ()  # of a shared norm
    was_frozen: bool = False  # weight and bias did not train, and do not now

    def __str__(self) -> str:
        words = f"{self.name or 'the model itself'}: {in_number(self.channels, 'channel')}"
        if self.num_groups is not None:
            words += f", {in_number(self.num_groups, 'group')}"
        if self.misfit:
            words += f" ({self.misfit})"
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
        parts = [f"converted {in_number(len(self.layers), 'layer')} to {self.norm}"]
        if self.standardized:
            parts.append(f"{in_number(len(self.standardized), 'convolution')} standardized")
        if self.misfits:
            parts.append(f"{len(self.misfits)} with other groups than asked for, the first {self.misfits[0]}")
        if self.frozen:
            parts.append(f"{len(self.frozen)} had a frozen weight and bias, which still do not train")
        return "; ".join(parts)

    def __str__(self) -> str:
        return "\n".join([self.summary, *map(str, self.layers)])


def in_number(number: int, word: str) -> str:
    """So many of something: 1 layer, 2 layers."""
    return f"{number} {word}{'' if number == 1 else 's'}"
