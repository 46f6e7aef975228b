"""Small videos in real files, as the tests write them and as they then break them."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]


def moving(num: int, width: int = 48, height: int = 40, channels: int = 1, seed: int = 0) -> Frames:
    """A picture that moves right by a pixel a frame and darkens, (num, height, width[, 3]): no two frames are alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 256, (height // 4, width // 4, channels), dtype=np.uint8)
    picture = coarse.repeat(4, axis=0).repeat(4, axis=1)
    frames = np.stack([np.roll(picture, i, axis=1) - np.uint8(i % 40) for i in range(num)])
    return frames[..., 0] if channels == 1 else frames


def write_video(
    path: Path,
    frames: Frames,
    *,
    gop: int = 16,
    rate: int = 25,
    times: list[int] | None = None,
    codec: str = "libx264",
    **options: str,
) -> None:
    """Gray or RGB frames, without loss where they are gray.

    Args:
        path: its suffix says the container.
        frames: (T, H, W) or (T, H, W, 3).
        gop: frames from keyframe to keyframe at most.
        rate: frames per second.
        times: of the frames, in frames; None = 0, 1, 2, ...
        codec: FFmpeg's encoder.
        options: of the encoder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_gray = frames.ndim == 3
    if is_gray and codec == "libx264":
        options = {"qp": "0"} | options
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"preset": "ultrafast"} | options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.gop_size = "gray" if is_gray else "yuv420p", gop
        stream.codec_context.color_range = 2 if is_gray else 1
        for i, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="gray" if is_gray else "rgb24")
            frame.pts = i if times is None else times[i]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_kinetics(
    root: Path,
    *,
    num_train: int = 3,
    num_val: int = 2,
    num_classes: int = 2,
    num_frames: int = 72,
    channels: int = 3,
) -> None:
    """Class folders a, b, ... of videos of their own, wide and tall in turn, with names as Kinetics has them."""
    seed = 0
    for split, num in (("train", num_train), ("val", num_val)):
        for name in "abcdefgh"[:num_classes]:
            for i in range(num):
                seed += 1
                width, height = ((56, 40), (40, 48))[i % 2]
                path = root / split / name / f"video{seed:06d}_{i:06d}_{i + 10:06d}.mp4"
                write_video(path, moving(num_frames, width, height, channels, seed))
