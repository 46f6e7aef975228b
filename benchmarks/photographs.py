"""Photographs for benchmarks and tests: those in scikit-learn's and scikit-image's wheels, re-saved as ImageNet's are.

Nothing is downloaded, and neither package is imported: their files are read.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from PIL import Image

from gnexp.data.images.decode import crop_box
from gnexp.ops import keyed

# Colour photographs of every day; the wheels' other images are gray, drawn, or of microscopes and telescopes.
SOURCES = {
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
    "skimage": (
        "data",
        ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"),
    ),
}
# Width and height. ImageNet's are 500 on the longer side most often, 400 x 350 on average.
SIZES = ((500, 375), (375, 500), (500, 333), (400, 350))


def open_photographs() -> list[Image.Image]:
    """The photographs of the two wheels, RGB.

    Raises:
        FileNotFoundError: a package or a file of it is missing.
    """
    found = []
    for package, (folder, names) in SOURCES.items():
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(
                f"photographs come with {package}, which is missing: pip install 'gnexp[test]'"
            )
        for name in names:
            with Image.open(Path(spec.submodule_search_locations[0], folder, name)) as image:
                found.append(image.convert("RGB"))
    return found


def save_photographs(
    root: Path, counts: dict[str, int], *, num_classes: int = 2, quality: int = 90, enlarge: int = 1
) -> None:
    """Writes root/<split>/<class>/<number>.jpg: other parts of the photographs, in ImageNet's sizes.

    Args:
        root: of the class folders.
        counts: images per split.
        num_classes: folders per split.
        quality: of the JPEG files; 90 gives 44 KB each, 97 80 KB; ImageNet has 110 KB.
        enlarge: factor of their sides.
    """
    photographs = open_photographs()
    for split, num in counts.items():
        draws = keyed.uniform(0, f"photographs/{split}", 0, range(num), 22)
        for index in range(num):
            photograph, size = photographs[index % len(photographs)], SIZES[index % len(SIZES)]
            shape = size[0] / size[1]
            box = crop_box(*photograph.size, draws[index], (0.4, 0.9), (shape, shape))
            path = root / split / f"class{index % num_classes}" / f"{index:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            size = (enlarge * size[0], enlarge * size[1])
            photograph.crop(box).resize(size, Image.Resampling.BICUBIC).save(path, quality=quality)
