"""Normalization, residual add and ReLU as one module.

A model writes `self.bn3(self.conv3(x), residual=identity)`. Names are torchvision's whatever the norm, so that
weights travel.
"""

from __future__ import annotations

import abc
from itertools import chain
from typing import Any, Protocol

import torch
from torch import nn

from gnexp.config import NormConfig
from gnexp.ops.differentiable import is_transformed

# What parameters and buffers of the norms here start with, by name.
_START = {
    **dict.fromkeys(("weight", "v", "running_var", "running_std"), 1),
    **dict.fromkeys(("bias", "tau", "running_mean", "num_batches_tracked", "done_epochs"), 0),
}


class NormAct(nn.Module, abc.ABC):
    """Normalizes (N, C, *), adds a residual of the same shape if given one, then applies ReLU if it has one.

    A norm with a nonlinearity of its own has it in the ReLU's place and says what it does with a residual.

    Args:
        channels: C.
        relu: whether ReLU, or the norm's own nonlinearity, follows.
    """

    def __init__(self, channels: int, *, relu: bool) -> None:
        super().__init__()
        self.channels = channels
        self.relu = relu
        self.name = ""  # in the model, where there is one
        self.is_before_sum = False

    @abc.abstractmethod
    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        """X and residual (N, C, *) -> (N, C, *), a new tensor."""

    def affine(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Gamma and beta; of a norm that has none 1 and 0, of like's dtype and on its device."""
        weight: Any = self.weight
        bias: Any = self.bias
        if weight is None:
            weight, bias = like.new_ones(self.channels), like.new_zeros(self.channels)
        return weight, bias

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Makes parameters and statistics what they are in a new norm: after to_empty, as torch's norms do.

        Raises:
            ValueError: a package's norm with a tensor that gnexp does not know; it has to say itself how it starts.
        """
        for name, tensor in chain(self.named_parameters(recurse=False), self.named_buffers(recurse=False)):
            if name not in _START:
                raise ValueError(
                    f"{self.where}{type(self).__name__} has no reset_parameters that knows its {name}"
                )
            tensor.fill_(_START[name])

    def before_sum(self) -> NormAct:
        """Told by a model, once, that every call will bring a residual; gives itself back."""
        self.is_before_sum = True
        return self

    def check(self) -> None:
        """Raises ValueError where this layer does not support the norm; called before training starts."""

    @property
    def where(self) -> str:
        """The start of a complaint: which layer of the model it is about, if it is in one."""
        return f"layer {self.name}: " if self.name else ""

    @property
    def affine_words(self) -> str:
        """The end of its repr: that it has no affine map, where its weight and bias are none or constants."""
        is_constant = "weight" in self._non_persistent_buffers_set
        return ", affine=False" if is_constant or getattr(self, "weight", None) is None else ""

    def add_and_relu(self, y: torch.Tensor, residual: torch.Tensor | None, shape: torch.Size) -> torch.Tensor:
        """Adds the residual to the normalized y and applies ReLU, in place; y may view the memory in another shape."""
        # y is new, and no norm's backward reads its own output. In y's own shape: autograd would clone whole gradients
        # to undo a change that was made in place through a view.
        if residual is not None:
            residual = residual.reshape(y.shape)
            # A transform may have mapped the residual alone, which then has no room in y.
            y = y + residual if is_transformed() else y.add_(residual)
        if self.relu:
            y = y.relu_()
        return y.view(shape)

    def extra_repr(self) -> str:
        return f"{self.channels}, relu={self.relu}"


class NormFactory(Protocol):
    """What a model is given: channels -> module."""

    def __call__(self, channels: int, *, relu: bool = True) -> NormAct: ...


class ConvFactory(Protocol):
    """What a model passes each convolution before a norm through: a torch convolution -> the one that the norm wants.

    Its parameters keep their names, shapes and values, so that weights travel and initial weights do not depend on the
    norm. A model has taken its result in the convolution's place before weights are drawn or loaded.
    """

    def __call__(self, conv: nn.Module) -> nn.Module: ...


def build_plain_conv(config: NormConfig) -> ConvFactory:
    """The factory of convolutions as they are, whatever the norm."""
    return plain_conv


def plain_conv(conv: nn.Module) -> nn.Module:
    """The ConvFactory of most norms: the convolution as it is."""
    return conv
