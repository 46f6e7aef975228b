"""COCO's average precision of boxes and masks, from what a model found: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as mask_api

from gnexp.tasks.task import NotFiniteError

METRICS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
_NAMES = {"bbox": "box", "segm": "mask"}
_MASK_THRESHOLD = 0.5  # a pixel of at least this probability belongs to the object

Result = dict[str, Any]


def to_results(
    image_ids: Sequence[int], detections: Sequence[Mapping[str, Any]], category_ids: Sequence[int]
) -> list[Result]:
    """Detections as entries of COCO's results file.

    Args:
        image_ids: of the images, (N,).
        detections: of each image: boxes (n, 4), x1, y1, x2, y2 in pixels; labels (n,), 1 to the number of categories;
            scores (n,); and, where there are any, a sequence of n masks, (H, W) or (1, H, W), the probability of each
            pixel or whether it belongs to the object.
        category_ids: the file's id of label 1, 2, ...

    Returns:
        image_id, category_id, score, bbox (x, y, width, height) and segmentation (compressed run lengths) of each.

    Raises:
        NotFiniteError: a score or a box that is not finite.
    """
    results = []
    for image_id, found in zip(image_ids, detections, strict=True):
        boxes = found["boxes"].detach().cpu().double().numpy().reshape(-1, 4)
        boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        scores = found["scores"].detach().cpu().double().numpy()
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise NotFiniteError(
                f"boxes and scores must be finite, got others for image {image_id}; has the model diverged?"
            )
        segmentations = map(_to_rle, found["masks"]) if "masks" in found else [None] * len(boxes)
        for label, score, box, segmentation in zip(
            found["labels"].tolist(), scores.tolist(), boxes.tolist(), segmentations, strict=True
        ):
            result = {
                "image_id": int(image_id),
                "category_id": category_ids[label - 1],
                "bbox": box,
                "score": score,
            }
            results.append(result if segmentation is None else result | {"segmentation": segmentation})
    return results


def evaluate_results(
    ground_truth: Mapping[str, Any], results: Sequence[Result], kinds: Sequence[str] = ("bbox", "segm")
) -> dict[str, float | None]:
    """Average precision in percent, over the images that the ground truth names.

    Args:
        ground_truth: content of an annotation file: images, annotations and categories.
        results: as of to_results; none of an image or a category that the ground truth lacks.
        kinds: bbox, segm or both.

    Returns:
        box_ap, box_ap50, box_ap75, box_ap_small, box_ap_medium, box_ap_large, and mask_ap and so on; None where
        there is nothing to find, as of large objects where all are small.

    Raises:
        ValueError: results of an image that the ground truth does not have.
    """
    images = {image["id"] for image in ground_truth["images"]}
    for result in results:
        if result["image_id"] not in images:
            raise ValueError(f"results must be of images in the ground truth, got image {result['image_id']}")
    metrics: dict[str, float | None] = {}
    for kind in kinds:
        # Copies, since the evaluator writes into the entries that it gets.
        truth = COCO(
            {
                "images": [dict(image) for image in ground_truth["images"]],
                # Numbered anew: it takes the id 0 for none.
                "annotations": [
                    annotation | {"id": number}
                    for number, annotation in enumerate(ground_truth["annotations"], 1)
                ],
                "categories": [dict(category) for category in ground_truth["categories"]],
            }
        )
        found = [dict(result) for result in results]
        if kind == "segm":
            for result in found:
                result.pop("bbox", None)  # else the area, and so small and large, would be the box's
        evaluation = COCOeval_faster(truth, truth.loadRes(found), kind, print_function=_say_nothing)
        evaluation.run()
        values = evaluation.stats[: len(METRICS)]
        for metric, value in zip(METRICS, values, strict=True):
            metrics[f"{_NAMES[kind]}_{metric}"] = None if value == -1 else 100 * float(value)
    return metrics


def _to_rle(mask: torch.Tensor) -> dict[str, Any]:
    if mask.is_floating_point():
        mask = mask >= _MASK_THRESHOLD
    pixels = mask.detach().reshape(mask.shape[-2:]).cpu().numpy().astype(np.uint8)
    rle = mask_api.encode(np.asfortranarray(pixels))  # columns first
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def _say_nothing(*words: object) -> None:
    pass
