"""A model, not a measurement: the bytes that one ResNet-50 step's norms move on a GPU, by implementation.

Counted are whole tensors read and written, 2 bytes a value in bfloat16 and 4 in float32; statistics, parameters and
what stays on chip count nothing. Time is bytes over an H100's bandwidth.
"""

from __future__ import annotations

from dataclasses import dataclass

BANDWIDTH = 3.35e12  # bytes a second, an H100's (SXM)
ON_CHIP = 28 * 28  # pixels up to which a group is held between statistics and use


@dataclass(frozen=True)
class Norm:
    """A norm of ResNet-50 at 224 pixels."""

    channels: int
    pixels: int
    relu: bool
    add: bool

    @property
    def values(self) -> int:
        """Of one image."""
        return self.channels * self.pixels


def resnet50_norms() -> list[Norm]:
    """All 53, in order."""
    norms = [Norm(64, 112**2, True, False)]
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width, pixels = 64 * 2**stage, (56 // 2**stage) ** 2
        for block in range(blocks):
            before = (
                4 * pixels if stage > 0 and block == 0 else pixels
            )  # the 3x3 convolution takes the stride
            norms += [Norm(width, before, True, False), Norm(width, pixels, True, False)]
            if block == 0:
                norms.append(Norm(4 * width, pixels, False, False))
            norms.append(Norm(4 * width, pixels, True, True))
    return norms


def floor(norm: Norm, mask: float) -> float:
    """Bytes a value: forward reads x and writes y, backward reads dy and x and writes dx; the residual, both ways.

    Args:
        norm: which.
        mask: bytes a value that keep ReLU's mask after a residual sum; without one it is recomputed from x.
    """
    return 4 + 6 + (4 + mask if norm.add else 0)


def two_stages(norm: Norm) -> float:
    """Statistics in a pass of their own: x once more forward, dy and x once more backward; the mask from y."""
    return floor(norm, 2) + 2 + 4


def one_stage_where_it_fits(norm: Norm) -> float:
    """One pass on small maps, two stages on the others."""
    return floor(norm, 2) if norm.pixels <= ON_CHIP else two_stages(norm)


def native(norm: Norm) -> float:
    """Torch's kernels: statistics, then values; add and ReLU in place; all of it back."""
    return 2 * (3 + 5 + (2 + 3 if norm.relu else 0) + (3 if norm.add else 0))


def native_channels_last(norm: Norm) -> float:
    """The same with x, y, dy and dx copied between the formats."""
    return native(norm) + 4 * 4


def native_autocast(norm: Norm) -> float:
    """All of it in float32; x, and what goes to and comes from the next convolution, are cast between."""
    casts = 6 * (4 if norm.relu else 2)  # a shortcut's norm is followed by the sum, no convolution
    return 2 * native(norm) + casts


PATHS = {
    "floor: groups stay on chip, mask as bits": lambda norm: floor(norm, 1 / 4),
    "floor, mask from y": lambda norm: floor(norm, 2),
    "fused, one pass where HW <= 28^2, two stages above": one_stage_where_it_fits,
    "fused, two stages everywhere": two_stages,
    "native bf16, NCHW, + add + ReLU": native,
    "native bf16, channels_last": native_channels_last,
    "native under autocast, NCHW": native_autocast,
}


def model(images: int = 32) -> list[dict[str, object]]:
    """One row a path: GB, ms and multiple of the floor, of one step."""
    norms, rows = resnet50_norms(), []
    totals = {name: images * sum(path(n) * n.values for n in norms) for name, path in PATHS.items()}
    least = min(totals.values())
    for name, total in totals.items():
        row: dict[str, object] = {"path": name, "gb": round(total / 1e9, 2)}
        rows.append(row | {"ms": round(1e3 * total / BANDWIDTH, 2), "x_floor": round(total / least, 2)})
    return rows


def print_model(images: int = 32) -> None:
    """The table, labelled as what it is."""
    values = images * sum(norm.values for norm in resnet50_norms())
    print(
        f"\nmodel, not measured: bytes of the norms of one ResNet-50 step, {images} images, bf16, "
        f"{values / 1e6:.1f} M values; ms at {BANDWIDTH / 1e12} TB/s"
    )
    print(f"{'path':54}{'GB':>8}{'ms':>8}{'x floor':>9}")
    for row in model(images):
        print(f"{row['path']:54}{row['gb']:>8}{row['ms']:>8}{row['x_floor']:>9}")
