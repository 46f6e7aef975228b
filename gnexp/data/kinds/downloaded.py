"""The fields of small sets that are downloaded whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import hardware_field, science_field
from gnexp.config.task import CLASSIFICATION
from gnexp.data.kinds.in_memory import InMemoryConfig


@dataclass(frozen=True, kw_only=True)
class DownloadedConfig(InMemoryConfig):
    """Traits `torchvision`: its class there, which fetches the files; `megabytes`: how much that is."""

    builder: ClassVar = "gnexp.data.images.downloaded:open_downloaded"
    task: ClassVar = CLASSIFICATION
    is_downloaded: ClassVar = True
    sha256_of: ClassVar[tuple[str, ...]] = ("num_train", "num_val")
    torchvision: ClassVar[str]
    megabytes: ClassVar[int]

    num_classes: int = science_field(10, choices=(10,), told_by="data")
    root: str | None = hardware_field(None)

    @property
    def folder(self) -> str | None:
        return self.root


@dataclass(frozen=True, kw_only=True)
class Cifar10Config(DownloadedConfig):
    """CIFAR-10 (Krizhevsky 2009)."""

    torchvision: ClassVar = "CIFAR10"
    megabytes: ClassVar = 170
    unpacked: ClassVar = "cifar-10-batches-py"
    num_known: ClassVar = 50_000

    kind: str = science_field("cifar10")
    image_size: int = science_field(32, choices=(32,), unit="pixels", told_by="data")
    channels: int = science_field(3, choices=(3,), told_by="data")


@dataclass(frozen=True, kw_only=True)
class FashionMnistConfig(DownloadedConfig):
    """Fashion-MNIST (Xiao et al. 2017), all of it."""

    torchvision: ClassVar = "FashionMNIST"
    megabytes: ClassVar = 31
    unpacked: ClassVar = "FashionMNIST/raw"
    num_known: ClassVar = 60_000

    kind: str = science_field("fashion_mnist")
    image_size: int = science_field(28, choices=(28,), unit="pixels", told_by="data")
    channels: int = science_field(1, choices=(1,), told_by="data")
