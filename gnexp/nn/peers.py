"""The other processes of a run, as a module sees them whose statistics go over all workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


def _own_sums(tensor: torch.Tensor) -> None:
    pass  # one process holds all workers


@dataclass(frozen=True)
class Peers:
    """This process's place among them, and the one thing that they do together. All of them call each method.

    Args:
        rank: of this process.
        world_size: number of processes.
        add_up: adds a tensor over the processes, in place and where it is.
    """

    rank: int = 0
    world_size: int = 1
    add_up: Callable[[torch.Tensor], None] = _own_sums

    def __deepcopy__(self, memo: dict[int, object]) -> Peers:
        return self  # a copy of a model has the same peers

    def rows(self, own: torch.Tensor) -> torch.Tensor:
        """Every process's row, (K,) each -> (world_size, K), exactly: a number plus zeros stays what it is."""
        found = own.new_zeros(self.world_size, *own.shape)
        found[self.rank] = own
        self.add_up(found)
        return found

    def largest(self, values: Sequence[int]) -> list[int]:
        """The largest of every process's values, each at its place."""
        if self.world_size == 1:
            return list(values)
        return [int(value) for value in self.rows(torch.tensor(values, dtype=torch.float64)).amax(0).tolist()]


ALONE = Peers()
