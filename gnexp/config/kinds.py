"""Which task each kind of data and each kind of model is for."""

from __future__ import annotations

CLASSIFICATION, DETECTION, VIDEO = "classification", "detection", "video"

TASK_OF_DATA = {
    "cifar10": CLASSIFICATION,
    "coco": DETECTION,
    "fashion": CLASSIFICATION,
    "fashion_clips": VIDEO,
    "fashion_coco": DETECTION,
    "fashion_mnist": CLASSIFICATION,
    "fashion_scenes": CLASSIFICATION,
    "imagefolder": CLASSIFICATION,
    "kinetics": VIDEO,
}
TASK_OF_MODEL = {
    "i3d": VIDEO,
    "mask_rcnn": DETECTION,
    "resnet": CLASSIFICATION,
    "vgg": CLASSIFICATION,
}
EMBEDDED = {
    CLASSIFICATION: "fashion_scenes",
    DETECTION: "fashion_coco",
    VIDEO: "fashion_clips",
}  # task -> data=
