"""COCO's scores: pycocotools' numbers, and what any average precision must be."""

import contextlib
import copy
import io
import json

import numpy as np
import pytest
import torch
from pycocotools import mask as reference_masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from gnexp.tasks.coco_eval import METRICS, evaluate_results, to_results
from tests.data.annotations import rle_of

# pycocotools 2.0 under numpy 2, in its own mask code
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

CATEGORY_IDS = (1, 2, 5, 90)
KEYS = {f"{name}_{metric}" for name in ("box", "mask") for metric in METRICS}


def ellipse(height, width, rng, largest):
    """A mask of an ellipse at a random place."""
    y, x = np.ogrid[:height, :width]
    cy, cx = rng.uniform(0, height), rng.uniform(0, width)
    ry, rx = rng.uniform(2, largest, 2)
    return (((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1).astype(np.uint8)


def generated(seed, num_images=20, crowd=0.2, size=(240, 260), largest=110):
    """Ground truth with crowds and images without objects, and detections near it."""
    rng = np.random.default_rng(seed)
    images, annotations, detections = [], [], []
    for i in range(num_images):
        height, width = size
        images.append({"id": 10 + 7 * i, "height": height, "width": width, "file_name": f"{i}.png"})
        boxes, labels, scores, masks = [], [], [], []
        for _ in range(0 if i % 4 == 3 else rng.integers(1, 6)):
            mask = ellipse(height, width, rng, largest)
            if not mask.any():
                continue
            rle = rle_of(mask)
            category = int(rng.integers(len(CATEGORY_IDS)))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": images[-1]["id"],
                    "category_id": CATEGORY_IDS[category],
                    "bbox": reference_masks.toBbox(rle).tolist(),
                    "area": int(mask.sum()),
                    "iscrowd": int(rng.random() < crowd),
                    "segmentation": rle,
                }
            )
            for _ in range(rng.integers(0, 3)):
                moved = np.roll(mask, rng.integers(-4, 5, 2), axis=(0, 1))
                x, y, w, h = reference_masks.toBbox(rle_of(moved))
                boxes.append(np.array([x, y, x + w, y + h]) + rng.normal(0, 1, 4))
                labels.append(category + 1 if rng.random() < 0.8 else int(rng.integers(1, 5)))
                scores.append(round(rng.random(), 1))  # with ties
                masks.append(moved)
        if rng.random() < 0.5:  # of nothing
            boxes.append(np.array([1.0, 2.0, 30.0, 40.0]))
            labels.append(1)
            scores.append(rng.random())
            masks.append(ellipse(height, width, rng, largest))
        detections.append(
            {
                "boxes": torch.tensor(np.array(boxes).reshape(-1, 4), dtype=torch.float32),
                "labels": torch.tensor(labels, dtype=torch.int64),
                "scores": torch.tensor(scores, dtype=torch.float32),
                "masks": torch.tensor(np.array(masks).reshape(-1, 1, height, width), dtype=torch.float32),
            }
        )
    categories = [{"id": category, "name": str(category)} for category in CATEGORY_IDS]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    return truth, detections


def results_of(truth, detections):
    return to_results([image["id"] for image in truth["images"]], detections, CATEGORY_IDS)


def reference(truth, results, kind):
    """The reference's six numbers in percent, None for its -1."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        found = copy.deepcopy(results)
        if kind == "segm":
            for result in found:
                del result["bbox"]
        if found:
            loaded = coco.loadRes(found)
        else:
            loaded = COCO()
            loaded.dataset = copy.deepcopy(truth) | {"annotations": []}
            loaded.createIndex()
        evaluation = COCOeval(coco, loaded, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    name = {"bbox": "box", "segm": "mask"}[kind]
    values = [None if value == -1 else 100 * value for value in evaluation.stats[: len(METRICS)]]
    return {f"{name}_{metric}": value for metric, value in zip(METRICS, values, strict=True)}


def assert_is_pycocotools(truth, results):
    got = evaluate_results(truth, results)
    expected = reference(truth, results, "bbox") | reference(truth, results, "segm")
    assert got.keys() == expected.keys() == KEYS
    for key, value in expected.items():
        if value is None:
            assert got[key] is None, key
        else:
            assert got[key] == pytest.approx(value, rel=0, abs=1e-9), key
    return got


@pytest.mark.parametrize("seed", range(4))
def test_random_cases_have_pycocotools_numbers(seed):
    truth, detections = generated(seed)
    assert any(annotation["iscrowd"] for annotation in truth["annotations"])
    got = assert_is_pycocotools(truth, results_of(truth, detections))
    assert 5 < got["box_ap"] < 95 and 5 < got["mask_ap"] < 95
    assert len({round(got[f"box_{metric}"], 6) for metric in METRICS}) == len(METRICS)


def test_more_than_a_hundred_detections_of_an_image_count_as_a_hundred():
    truth, detections = generated(1, num_images=3, size=(60, 60), largest=30)
    many = [
        {key: value.repeat((40,) + (1,) * (value.ndim - 1)) for key, value in d.items()} for d in detections
    ]
    assert_is_pycocotools(truth, results_of(truth, many))


def test_polygons_are_ground_truth_too():
    truth, detections = generated(2)
    for annotation in truth["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation |= {
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            "iscrowd": 0,
            "area": w * h,
        }
    assert_is_pycocotools(truth, results_of(truth, detections))


def test_nothing_found_is_zero_and_nothing_to_find_is_none():
    truth, detections = generated(3, size=(60, 60), largest=10)
    got = assert_is_pycocotools(truth, [])
    assert got["box_ap"] == got["mask_ap50"] == 0
    assert got["box_ap_large"] is None and got["mask_ap_medium"] is None  # no such objects
    empty = truth | {"annotations": []}
    assert set(assert_is_pycocotools(empty, results_of(truth, detections)).values()) == {None}


def test_the_ground_truth_itself_scores_100():
    truth, _ = generated(0, crowd=0)
    sizes = {annotation["area"] for annotation in truth["annotations"]}
    assert min(sizes) < 32**2 < 96**2 < max(sizes)
    found = []
    for image in truth["images"]:
        own = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
        corners = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in own)]
        masks = [reference_masks.decode(a["segmentation"]) for a in own]
        found.append(
            {
                "boxes": torch.tensor(corners).reshape(-1, 4),
                "labels": torch.tensor([CATEGORY_IDS.index(a["category_id"]) + 1 for a in own]),
                "scores": torch.full((len(own),), 0.9),
                "masks": torch.tensor(np.array(masks).reshape(-1, image["height"], image["width"])) > 0,
            }
        )
    assert evaluate_results(truth, results_of(truth, found)) == dict.fromkeys(
        KEYS, pytest.approx(100.0, abs=1e-9)
    )


def test_one_kind_alone_and_detections_without_masks():
    truth, detections = generated(0)
    both = evaluate_results(truth, results_of(truth, detections))
    boxes = [{key: d[key] for key in ("boxes", "labels", "scores")} for d in detections]
    results = results_of(truth, boxes)
    assert not any("segmentation" in result for result in results)
    got = evaluate_results(truth, results, kinds=("bbox",))
    assert got == {key: value for key, value in both.items() if key.startswith("box")}


def test_an_annotation_with_id_0_is_like_any_other():
    """The evaluators take 0 for no annotation."""
    truth, detections = generated(0, crowd=0)
    results = results_of(truth, detections)
    expected = evaluate_results(truth, results)
    for annotation in truth["annotations"]:
        annotation["id"] -= 1
    assert evaluate_results(truth, results) == expected


def test_nothing_is_printed_and_nothing_given_is_changed(capfd):
    truth, detections = generated(0)
    results = results_of(truth, detections)
    before = copy.deepcopy((truth, results))
    first = evaluate_results(truth, results)
    assert (truth, results) == before and evaluate_results(truth, results) == first
    assert capfd.readouterr() == ("", "")


def test_results_are_what_pycocotools_reads(tmp_path):
    truth, detections = generated(0)
    results = results_of(truth, detections)
    (tmp_path / "results.json").write_text(json.dumps(results, allow_nan=False), encoding="utf-8")
    (tmp_path / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = COCO(str(tmp_path / "truth.json")).loadRes(str(tmp_path / "results.json"))
    assert len(loaded.anns) == len(results) == sum(len(d["boxes"]) for d in detections)
    flat = [
        (d["boxes"][i], d["labels"][i], d["masks"][i, 0]) for d in detections for i in range(len(d["boxes"]))
    ]
    for entry, (box, label, mask) in zip(loaded.anns.values(), flat, strict=True):
        x, y, w, h = entry["bbox"]
        torch.testing.assert_close(torch.tensor([x, y, x + w, y + h]), box)
        assert entry["category_id"] == CATEGORY_IDS[label - 1]
        assert np.array_equal(loaded.annToMask(entry), mask.numpy())


def test_a_masks_pixel_is_the_objects_from_one_half_on():
    masks = torch.tensor([[[0.0, 0.49], [0.5, 1.0]]])
    detection = {
        "boxes": torch.tensor([[0.0, 0.0, 2.0, 2.0]]),
        "labels": torch.tensor([4]),
        "scores": torch.tensor([0.25]),
        "masks": masks,
    }
    (result,) = to_results([3], [detection], CATEGORY_IDS)
    mask = reference_masks.decode(result.pop("segmentation"))
    assert mask.tolist() == [[0, 0], [1, 1]]
    assert result == {"image_id": 3, "category_id": 90, "bbox": [0.0, 0.0, 2.0, 2.0], "score": 0.25}
    (same,) = to_results([3], [detection | {"masks": masks >= 0.5}], CATEGORY_IDS)
    assert np.array_equal(reference_masks.decode(same["segmentation"]), mask)


def test_what_cannot_be_scored_is_one_clear_line():
    truth, detections = generated(0)
    results = results_of(truth, detections)
    with pytest.raises(ValueError, match="results must be of images in the ground truth, got image 11"):
        evaluate_results(truth, [results[0] | {"image_id": 11}])
    for key in ("boxes", "scores"):
        bad = detections[0] | {key: torch.full_like(detections[0][key], torch.nan)}
        with pytest.raises(ValueError, match="boxes and scores must be finite, got others for image 3"):
            to_results([3], [bad], CATEGORY_IDS)
