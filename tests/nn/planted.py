"""Norms that lie about a trait or break a promise, each in one thing: what the contracts have to find."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from gnexp.config import NormConfig, norm_config
from gnexp.config.fields import science_field
from gnexp.config.norm import NormName
from gnexp.nn.batch_norm import BatchNormAct
from gnexp.nn.norm_act import NormAct, NormFactory
from gnexp.nn.norms import norm_factory


class Layer(NormAct):
    """Divides a sample by its root mean square: an honest norm, of which each other one changes one thing."""

    has_gamma = True

    def __init__(self, channels: int, *, relu: bool = True) -> None:
        super().__init__(channels, relu=relu)
        if self.has_gamma:
            self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def scale(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rsqrt(x.square().flatten(1).mean(1).view(-1, *[1] * (x.dim() - 1)) + 1e-5)

    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        shape = (1, -1, *[1] * (x.dim() - 2))
        y = x * self.scale(x)
        if self.has_gamma:
            y = y * self.weight.view(shape)
        return y + self.bias.view(shape)

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        return self.add_and_relu(self.normalize(x), residual, x.shape)


class NoGamma(Layer):
    has_gamma = False


class OfPositions(Layer):
    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        place = torch.arange(len(x), dtype=x.dtype).view(-1, *[1] * (x.dim() - 1))
        return super().normalize(x) + place


class WithMemory(Layer):
    calls = 0

    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().normalize(x) * self.calls


class Shared(Layer):
    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self


class ReluFirst(Layer):
    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        y = self.normalize(x).relu() if self.relu else self.normalize(x)
        return y if residual is None else y + residual


class InPlace(Layer):
    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        y = self.normalize(x)
        y = y if residual is None else residual.add_(y)
        return y.relu() if self.relu else y


class Random(Layer):
    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        return super().normalize(x) * (1 + 1e-13 * torch.rand(()).to(x.dtype))


class Detached(Layer):
    def scale(self, x: torch.Tensor) -> torch.Tensor:
        return super().scale(x).detach()


class Contiguous(Layer):
    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        return super().normalize(x).contiguous()


class OfSomeImages(Layer):
    def scale(self, x: torch.Tensor) -> torch.Tensor:
        return super().scale(x.reshape(len(x), -1).view(x.shape))  # torch infers no size of no values


class Double(Layer):
    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        return super().normalize(x).double()


class Cut(Layer):
    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        return super().normalize(x.detach())


class NeedsRelu(Layer):
    def __init__(self, channels: int, *, relu: bool) -> None:
        super().__init__(channels, relu=relu)


class OverAll(Layer):
    """One mean square of all images."""

    def scale(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rsqrt(x.square().mean() + 1e-5)


def build_bn(config: NormConfig, workers: int) -> NormFactory:
    return functools.partial(_batch_norm, workers=workers)


def _batch_norm(channels: int, *, workers: int, relu: bool = True) -> NormAct:
    return BatchNormAct(channels, workers=workers, eps=1e-5, momentum=0.1, relu=relu)


def build_gn(config: NormConfig, workers: int) -> NormFactory:
    return norm_factory(norm_config(kind="gn", num_groups=1), workers)


def build_layer(config: Honest, workers: int) -> NormFactory:
    return functools.partial(config.layer)


@dataclass(frozen=True, kw_only=True)
class Honest(NormConfig):
    builder: ClassVar = "tests.nn.planted:build_layer"
    layer: ClassVar[type[NormAct]] = Layer
    names: ClassVar = {"planted": NormName("P", "planted")}
    statistics_over: ClassVar = "sample"

    kind: str = science_field("planted")


def _planted(**traits: Any) -> type[NormConfig]:
    """A config that is Honest's but for these traits."""
    cls: type[NormConfig] = dataclass(frozen=True, kw_only=True)(type("Planted", (Honest,), traits))
    return cls


_BN = {"builder": "tests.nn.planted:build_bn", "has_running_stats": True}

SaysSampleIsWorker = _planted(**_BN)
SaysWorkerIsSample = _planted(statistics_over="worker")
SaysAllWorkersIsWorker = _planted(**_BN, statistics_over="all_workers", needs_resident_workers=True)
SaysNothingIsSample = _planted(statistics_over=None)
CrossesWorkersAndSaysNotResident = _planted(layer=OverAll, statistics_over="all_workers")
PositionsMatter = _planted(layer=OfPositions)
HidesItsRunningStats = _planted(builder=_BN["builder"], statistics_over="worker")
HasNoRunningStats = _planted(has_running_stats=True)
HasNoGamma = _planted(layer=NoGamma)
HidesItsGamma = _planted(trains_gamma=False)
FreezesNothing = _planted(freezes="bn")
KeepsWhatNoStateHolds = _planted(layer=WithMemory)
SharesItsParameters = _planted(layer=Shared)
ActivatesBeforeTheResidual = _planted(layer=ReluFirst)
AddsInPlace = _planted(layer=InPlace)
IsRandom = _planted(layer=Random)
DetachesTheMean = _planted(layer=Detached)
ForgetsTheLayout = _planted(layer=Contiguous)
ComputesInDouble = _planted(layer=Double)
TakesNoEmptyBatch = _planted(layer=OfSomeImages)
AsksForReLU = _planted(layer=NeedsRelu)
HasASlashInItsLabel = _planted(label="plan/ted")
LetsNoGradientThrough = _planted(layer=Cut)


@dataclass(frozen=True, kw_only=True)
class SaysGroupsIsLayer(Honest):
    builder: ClassVar = "tests.nn.planted:build_gn"
    takes_groups: ClassVar = True

    num_groups: int = science_field(4)


@dataclass(frozen=True, kw_only=True)
class NamesAnotherAtASite(Honest):
    site_words: ClassVar = ("planted",)

    @classmethod
    def at_site(cls, word: str, backbone: NormConfig, num_groups: int) -> NormConfig:
        return norm_config(kind="none")
