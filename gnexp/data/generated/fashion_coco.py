"""The embedded garments as a detection set in COCO's layout on disk: generated on first use, then opened as COCO is.

Masks are run lengths, which hold pixels exactly; polygons do not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from faster_coco_eval.core import mask as mask_api
from PIL import Image

from gnexp.data.coco.chunks import read_pixels
from gnexp.data.coco.dataset import SPLITS, Coco, read_split
from gnexp.data.generated.pictures import SIDES, Picture, make_picture, shortest
from gnexp.data.generated.store import check_is_given, check_made, made_folder, split_garments, with_progress
from gnexp.data.kinds.fashion_coco import FashionCocoConfig

CATEGORIES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_VERSION = 1  # of what is generated; part of the folder's name


def open_fashion_coco(config: FashionCocoConfig, device: torch.device) -> Coco:
    """Opens the set of these settings, in a folder of its own in data.root; the first time, generates it.

    The images stay in memory, 8-bit, and the fingerprint is of their pixels: a PNG's bytes depend on who compressed it.

    Raises:
        ValueError: a setting that this kind cannot follow, a folder that cannot be written, or images that are
            damaged or not those of config.sha256.
    """
    _check_settings(config)
    settings = _VERSION, config.image_size, config.exposure or 0.0, config.val_source or "test"
    folder = made_folder(config, settings, lambda place: _fill(place, config))
    try:
        dataset = _open_folder(config, device, folder)
    except ValueError as error:
        raise ValueError(f"{error} (or remove {folder}, and it is generated again)") from error
    check_made(config, dataset.fingerprint, folder, "images")
    return dataset


def _open_folder(config: FashionCocoConfig, device: torch.device, folder: Path) -> Coco:
    files = {split: read_split(folder, split, config) for split in SPLITS}
    images = {
        split: [read_pixels(own.path(i), 1) for i in range(len(own.names))] for split, own in files.items()
    }
    dataset = Coco(config, device, files["train"], files["val"], images)
    digest = hashlib.sha256()
    for split, own in files.items():
        digest.update(own.annotations.read_bytes())
        for image in images[split]:
            digest.update(image.tobytes())
    dataset.fingerprint = digest.hexdigest()
    return dataset


def _check_settings(config: FashionCocoConfig) -> None:
    check_is_given(config)
    if shortest(config.image_size) < SIDES[1]:
        raise ValueError(
            f"data.image_size must be at least {-(-SIDES[1] * 6 // 5)} for garments of up to {SIDES[1]} pixels, got "
            f"{config.image_size}"
        )


def _fill(root: Path, config: FashionCocoConfig) -> None:
    for split, source in split_garments(config.val_source).items():
        pictures = (
            make_picture(
                *source, size=config.image_size, exposure=config.exposure or 0.0, split=split, index=index
            )
            for index in with_progress(config, split, "image")
        )
        _write_split(root, SPLITS[split], pictures)


def _write_split(root: Path, name: str, pictures: Iterator[Picture]) -> None:
    (root / name).mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, picture in enumerate(pictures, 1):
        file_name, (height, width) = f"{image_id:012}.png", picture.pixels.shape
        Image.fromarray(picture.pixels).save(root / name / file_name)
        images.append(
            {"id": image_id, "license": 1, "file_name": file_name, "height": height, "width": width}
        )
        for rle, label in zip(
            mask_api.encode(np.asfortranarray(picture.masks.transpose(1, 2, 0), dtype=np.uint8)),
            picture.labels,
            strict=True,
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(label) + 1,
                    "bbox": [int(side) for side in mask_api.toBbox(rle)],
                    "area": int(mask_api.area(rle)),
                    "iscrowd": 0,
                    "segmentation": {"size": [height, width], "counts": rle["counts"].decode()},
                }
            )
    content = {
        "info": {"description": f"garments of Fashion-MNIST, {name}", "version": str(_VERSION)},
        "licenses": [{"id": 1, "name": "MIT, Zalando SE", "url": "https://opensource.org/license/mit"}],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": i, "name": category, "supercategory": "garment"}
            for i, category in enumerate(CATEGORIES, 1)
        ],
    }
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(content), encoding="utf-8")
