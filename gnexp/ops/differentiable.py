"""What the gradients that are written down here need beside themselves: a second gradient, and torch.func.

A written gradient is fast because it works in place, and so autograd cannot see into it. Where somebody wants the
gradient's graph, or a transform of torch.func looks on, the equations that autograd knows take its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

# torch.autograd.Function asks this itself; it is nobody's promise, so a torch without it is one without transforms.
_has_transform: Callable[[], bool] = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)


def is_transformed() -> bool:
    """Whether a transform of torch.func is at work: vmap, grad, jvp, ... The compiler sees to its own."""
    return not torch.compiler.is_compiling() and _has_transform()


def gradients(
    call: Callable[..., torch.Tensor], inputs: Sequence[torch.Tensor], dy: torch.Tensor
) -> list[torch.Tensor | None]:
    """The gradients of call(*inputs), which can be differentiated again; for a backward that is to have a graph.

    Args:
        call: the equations, of operations that autograd knows.
        inputs: as the forward pass saved them, so that they lead on into the graph.
        dy: of the result.

    Returns:
        One of each input; None where it needs none.
    """
    # Views, so that each stands for itself: one input may well be computed from another.
    views = [value.view_as(value) for value in inputs]
    needed = [view for view in views if view.requires_grad]
    found = iter(torch.autograd.grad(call(*views), needed, dy, create_graph=True))
    return [next(found) if view.requires_grad else None for view in views]
