"""Moving garments: videos of one of eight motions, in none of which one frame tells the motion.

At any time a video is in a state: where its garment is across and down, how far it is turned and how large it is. Each
of the four lies on a circle: places wrap around the canvas, also in drawing, so that a garment that leaves on one side
enters on the other; angles wrap around a turn; and sizes, in their logarithm, around the range, so that the largest is
followed by the smallest. The first state is drawn uniformly, and a motion adds the same amount to one or two of the
four in every frame. Adding on a circle leaves a uniform distribution uniform, so every frame of every motion has the
same distribution. The same holds of the jitter.

States are integers, sums and products of integers in float64 are exact, and the rest is correctly rounded: every
machine makes the same pixels.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from gnexp.data.generated.scenes import expose
from gnexp.ops import keyed

# What a frame adds to x, y, angle and size, by its sign. Kernels inflated from pictures see both directions of time
# alike, so that with these a network stays at half of the videos right until its kernels have come apart.
DIRECTED = {
    "right": (1, 0, 0, 0),
    "left": (-1, 0, 0, 0),
    "down": (0, 1, 0, 0),
    "up": (0, -1, 0, 0),
    "clockwise": (0, 0, 1, 0),
    "counterclockwise": (0, 0, -1, 0),
    "grow": (0, 0, 0, 1),
    "shrink": (0, 0, 0, -1),
}
# Each of these goes forward in half of its videos and backward in the others, so that none depends on time's direction.
UNDIRECTED = {
    "across": (1, 0, 0, 0),
    "upright": (0, 1, 0, 0),
    "falling": (1, 1, 0, 0),
    "rising": (1, -1, 0, 0),
    "turning": (0, 0, 1, 0),
    "scaling": (0, 0, 0, 1),
    "rolling": (1, 0, 1, 0),
    "spiralling": (0, 0, 1, 1),
}
SETS = {"directed": DIRECTED, "undirected": UNDIRECTED}
MOTIONS = tuple(DIRECTED)
NUM_FRAMES = 64
CANVAS = 32  # pixels, its side
SIDES = (9.0, 18.0)  # pixels: of a garment's square, smallest and largest; its diagonal fits the canvas
# What a motion adds in a frame, drawn for each video between the two.
SPEED = (0.3, 1.0)  # pixels
SPIN = (1 / 96, 1 / 32)  # turns
GROWTH = (1 / 96, 1 / 32)  # of the range of sizes
JITTER = 0.5  # pixels: each frame of every video is off its place by up to this, down and across

_PIXEL = 256  # steps of place
_CIRCLES = (CANVAS * _PIXEL, CANVAS * _PIXEL, 4096, 1024)  # steps of x, y, angle and size
_RANGES = tuple(
    tuple(round(end * steps) for end in ends)
    for ends, steps in ((SPEED, _PIXEL), (SPEED, _PIXEL), (SPIN, _CIRCLES[2]), (GROWTH, _CIRCLES[3]))
)
_DIAGONAL = 181 / 256  # of the speed along each side, where both are moved along
_SEED = 1803  # of the videos; the runs' seeds never change them
_SIDE = 28  # pixels, of a garment
# Black pixels around it: blurring takes one, and all that lies further out is taken from the last two.
_MARGIN = 3
_UNIT = 1 << 12  # 1, of the two tables
_COSINES = np.floor(np.cos(np.arange(_CIRCLES[2]) * (2 * math.pi / _CIRCLES[2])) * _UNIT + 0.5)
# A garment's pixels per pixel of the canvas, by its size.
_RATIOS = np.floor(
    _SIDE / SIDES[0] * (SIDES[0] / SIDES[1]) ** (np.arange(_CIRCLES[3]) / _CIRCLES[3]) * _UNIT + 0.5
)


def make_video(
    garments: npt.NDArray[np.uint8],
    *,
    label: int,
    exposure: float,
    split: str,
    index: int,
    motions: str = "directed",
) -> npt.NDArray[np.uint8]:
    """A video, which is a function of its index, its label, its split, the garments and the exposure alone.

    Args:
        garments: (N, 28, 28), of which one is drawn.
        label: index into the motions.
        exposure: spread of the videos' exposures, in [0, 1] (see scenes.py).
        split: train or val, whose draws are apart.
        index: of the video.
        motions: which of SETS.

    Returns:
        (NUM_FRAMES, CANVAS, CANVAS).
    """
    draws = keyed.uniform(_SEED, f"video/{split}", 0, [index], 4)
    garment = garments[int(draws[0, 0] * len(garments))]
    frames = draw_states(garment, states(label, split, index, motions))
    return expose(frames, draws[:, 1:].repeat(len(frames), axis=0), *[exposure] * 3)


def states(label: int, split: str, index: int, motions: str = "directed") -> npt.NDArray[np.int64]:
    """x, y, angle and size of the garment in each frame of a video, in steps of their circles: (NUM_FRAMES, 4)."""
    draws = keyed.uniform(_SEED, f"state/{split}", 0, [index], 6)[0]
    start = np.floor(draws[:4] * _CIRCLES).astype(np.int64)
    signs = list(SETS[motions].values())[label]
    is_backward = motions == "undirected" and draws[5] < 0.5
    share = _DIAGONAL if signs[0] and signs[1] else 1
    speeds = [slowest + int(draws[4] * (fastest - slowest + 1)) for slowest, fastest in _RANGES]
    velocity = np.array(
        [sign * int(share * speed) for sign, speed in zip(signs, speeds, strict=True)], dtype=np.int64
    )
    velocity = -velocity if is_backward else velocity
    path = start + np.arange(NUM_FRAMES)[:, None] * velocity
    most = round(JITTER * _PIXEL)
    jitter = keyed.uniform(_SEED, f"jitter/{split}", index, np.arange(NUM_FRAMES), 2)
    path[:, :2] += np.floor(jitter * (2 * most + 1)).astype(np.int64) - most
    wrapped: npt.NDArray[np.int64] = path % np.array(_CIRCLES)
    return wrapped


def draw_states(garment: npt.NDArray[np.uint8], path: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A garment in each of some states, on black: (28, 28) and (N, 4) -> (N, CANVAS, CANVAS) in [0, 1]."""
    x, y, angle, size = path.T
    # Of each pixel of the canvas: its way from the garment's centre, the short way around, in steps.
    pixels, whole = np.arange(CANVAS) * _PIXEL + _PIXEL // 2, _CIRCLES[0]
    across, down = (
        ((pixels - place[:, None] + whole // 2) % whole - whole // 2).astype(np.float64) for place in (x, y)
    )
    cosine, sine = (
        _COSINES[turns % _CIRCLES[2]] * _RATIOS[size] for turns in (angle, angle - _CIRCLES[2] // 4)
    )
    cosine, sine = cosine[:, None, None], sine[:, None, None]
    across, down = across[:, None, :], down[:, :, None]
    # Turned back and at the garment's own scale.
    return _sample(garment, down * cosine - across * sine, across * cosine + down * sine)


def _sample(
    garment: npt.NDArray[np.uint8], rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """A blurred garment's brightness in [0, 1], bilinear, at places from its middle on in steps times _UNIT squared."""
    padded = np.pad(garment.astype(np.float64), _MARGIN)
    # Blurred by 1, 2, 1, down and across: garments are drawn smaller than they are.
    for axis in (0, 1):
        padded = np.roll(padded, 1, axis) + 2 * padded + np.roll(padded, -1, axis)
    side, flat = len(padded), padded.ravel()
    corner = (side - 1) * _PIXEL // 2
    whole, part = [], []
    for places in (rows, columns):
        steps = np.clip(np.floor(places * (1 / _UNIT**2) + 0.5) + corner, 0, (side - 1) * _PIXEL - 1)
        whole.append(np.floor(steps * (1 / _PIXEL)))
        part.append(steps - whole[-1] * _PIXEL)
    place = (whole[0] * side + whole[1]).astype(np.intp)
    above, below = (
        flat[start] * (_PIXEL - part[1]) + flat[start + 1] * part[1] for start in (place, place + side)
    )
    total: npt.NDArray[np.float64] = above * (_PIXEL - part[0]) + below * part[0]
    return total / (255 * 16 * _PIXEL**2)
