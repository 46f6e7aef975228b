"""Published weights whose network takes other pixels than ours: how they are told, and the mean that they want.

No torch and no file is needed to know it, so that the identity of a run that starts from such weights is found before
anything is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PixelLayout:
    """Pixels of 0 to 255 in the order blue, green, red, with a mean and no std."""

    mean: tuple[float, float, float]  # red, green, blue, of pixel values in [0, 1]
    digests: tuple[str, ...] = ()  # what the sha256 of the published files starts with, as their names say


def _scaled(blue: float, green: float, red: float) -> tuple[float, float, float]:
    return red / 255, green / 255, blue / 255


LAYOUTS = {
    # PIXEL_MEANS of detectron/core/config.py; its GN baselines keep it
    "detectron": PixelLayout(_scaled(102.9801, 115.9465, 122.7717)),
    # data_preprocessor of mmdetection's configs/gn/; the files resnet50_gn-9186a21c.pth and resnet101_gn-cac0ab98.pth
    "open-mmlab": PixelLayout(_scaled(103.53, 116.28, 123.675), ("9186a21c", "cac0ab98")),
}
_TORCH_MAGIC = bytes.fromhex(
    "6cfc9c46f9206aa85019"
)  # near the start of what torch.save wrote before its zip files
HEAD = 32  # bytes of a file that is_pickled_arrays looks at


def is_pickled_arrays(suffix: str, head: bytes) -> bool:
    """Whether a file is caffe2's pickle of numpy arrays, and not one of torch's that is called so."""
    return suffix == ".pkl" and not head.startswith(b"PK") and _TORCH_MAGIC not in head


def layout_of(suffix: str, head: bytes, sha256: str) -> str | None:
    """The name in LAYOUTS of a file's pixels; None where they are normalized RGB, as torchvision and timm have them.

    Args:
        suffix: of its name.
        head: its first HEAD bytes.
        sha256: of its content, in hex.
    """
    if is_pickled_arrays(suffix, head):
        return "detectron"
    return next((name for name, layout in LAYOUTS.items() if sha256.startswith(layout.digests or "-")), None)
