"""The fields of EuroSAT: photographs of the ground, downloaded whole, with a split of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from gnexp.config.fields import science_field
from gnexp.data.kinds.downloaded import DownloadedConfig

SIDE = 64  # pixels, of a photograph as it is


@dataclass(frozen=True, kw_only=True)
class EuroSatConfig(DownloadedConfig):
    """EuroSAT (Helber et al. 2019), its RGB photographs.

    Trait `counts`: how many there are of each class; they are numbered from 1.
    """

    builder: ClassVar = "gnexp.data.images.eurosat:open_eurosat"
    torchvision: ClassVar = "EuroSAT"
    megabytes: ClassVar = 90
    unpacked: ClassVar = "eurosat/2750"
    sha256_of: ClassVar[tuple[str, ...]] = (*DownloadedConfig.sha256_of, "image_size", "val_source")
    num_known: ClassVar = 16_200
    counts: ClassVar[Mapping[str, int]] = {
        "AnnualCrop": 3000,
        "Forest": 3000,
        "HerbaceousVegetation": 3000,
        "Highway": 2500,
        "Industrial": 2500,
        "Pasture": 2000,
        "PermanentCrop": 2500,
        "Residential": 3000,
        "River": 2500,
        "SeaLake": 3000,
    }

    kind: str = science_field("eurosat")
    # 32 = means of 2 x 2 pixels, 64 = as they are
    image_size: int = science_field(32, choices=(32, SIDE), unit="pixels", told_by="data")
    channels: int = science_field(3, choices=(3,), told_by="data")
    # train = those of train that are held out for searching; None = val's own
    val_source: str | None = science_field(None, choices=("train",), told_by="data")
