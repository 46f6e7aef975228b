"""A tiny data set in COCO's layout, as the tests write it and as they then break it."""

import json
from pathlib import Path

import numpy as np
from faster_coco_eval.core import mask as mask_api
from PIL import Image

FOLDERS = {"train": "train2017", "val": "val2017"}


def annotations_path(root: Path, split: str) -> Path:
    return root / "annotations" / f"instances_{FOLDERS[split]}.json"


def rle_of(mask: np.ndarray) -> dict:
    """A mask, (H, W), as compressed run lengths that JSON can hold."""
    rle = mask_api.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def write_coco(root: Path, category_ids=(1, 2, 3, 90), num: int = 8, suffix: str = "png") -> None:
    """Images 100, 103, ... of alternating orientation, each with a polygon, a run-length mask and a crowd.

    Image 1 has no annotation, the last one only a crowd and a box of no width.
    """
    category_ids = list(category_ids)
    rng = np.random.default_rng(0)
    for split, folder in FOLDERS.items():
        (root / folder).mkdir(parents=True)
        (root / "annotations").mkdir(exist_ok=True)
        images, annotations = [], []

        def add(image, box, segmentation, *, crowd=0, annotations=annotations):
            annotations.append(
                {
                    "id": 500 + len(annotations),
                    "image_id": image["id"],
                    "category_id": category_ids[len(annotations) % len(category_ids)],
                    "bbox": box,
                    "area": float(box[2] * box[3]),
                    "iscrowd": crowd,
                    "segmentation": segmentation,
                }
            )

        for i in range(num):
            width, height = (40, 30) if i % 2 else (30, 40)
            name = f"{i:012}.{suffix}"
            Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(
                root / folder / name
            )
            image = {"id": 100 + 3 * i, "file_name": name, "height": height, "width": width}
            images.append(image)
            whole = np.ones((height, width), dtype=np.uint8)
            if i == num - 1:
                add(image, [2.0, 3.0, 0.0, 5.0], [[2, 3, 2, 8, 2, 4]])
            elif i != 1:
                x, y = 1.5 + i, 2.25
                add(image, [x, y, 10.0, 12.5], [[x, y, x + 10, y, x + 10, y + 12.5, x, y + 12.5]])
                mask = np.zeros((height, width), dtype=np.uint8)
                mask[5 : 9 + i, 3:17] = rng.random((4 + i, 14)) < 0.7
                mask[5, 3] = mask[8 + i, 16] = 1
                add(image, [3, 5, 14, 4 + i], rle_of(mask))
            if i != 1:
                add(
                    image,
                    [0, 0, width, height],
                    {"size": [height, width], "counts": [0, int(whole.sum())]},
                    crowd=1,
                )
        categories = [{"id": i, "name": f"thing {i}", "supercategory": "thing"} for i in category_ids[::-1]]
        content = {"images": images[::-1], "annotations": annotations, "categories": categories}
        annotations_path(root, split).write_text(
            json.dumps({"info": {}, "licenses": []} | content), encoding="utf-8"
        )
