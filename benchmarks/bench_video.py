"""How many clips a second does one core make ready for training, against a plain loop over PyAV's frames?

    gnexp bench video [--videos 6] [--rounds 9] [--gops 16 250]

One process, one thread. A clip is Kinetics' of the paper: 32 frames at a stride of 2 from a random start, shorter side
256 to 320, a random crop of 224, flipped or not, 8-bit. gnexp's side is what a loader process does for one: it seeks to
the keyframe before the clip and decodes only what the clip needs. The plain loop decodes from the start of the file,
converts and keeps the clip's frames, and stops behind the last; both resize with the same flags of the same scaler, set
up once a clip. Same files, same clips, interleaved in a rotating order. Before anything is timed, the clips of both
must be equal, bit for bit. The videos are 10 seconds at 30 frames a second and 340 x 256 pixels: the photographs of
scikit-learn's and scikit-image's wheels under a moving camera, with another one moving before them, encoded by x264 at
its usual quality, with keyframes at most 16 frames apart and at most 250, x264's default.
Prints a table and, last, one JSON line; ratios are medians over rounds, with quartiles.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import torch
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from bench_loader import processor
from photographs import open_photographs

from gnexp.compose.composer import Composer
from gnexp.config import DataConfig
from gnexp.data.video.chunks import NUM_CLIP_DRAWS, random_clip
from gnexp.ops import keyed
from gnexp.system.commit import commit

NUM_FRAMES, RATE, WIDTH, HEIGHT = 300, 30, 340, 256
SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT

Draws = npt.NDArray[np.float64]
Maker = Callable[[str, Draws, DataConfig], torch.Tensor]


def config_of() -> DataConfig:
    """data=kinetics."""
    return Composer().run(["data=kinetics"]).data


def frames_of(video: int) -> Iterator[npt.NDArray[np.uint8]]:
    """(HEIGHT, WIDTH, 3) each: a photograph under a moving camera, a part of another one moving before it."""
    photographs = open_photographs()
    behind, before = (
        np.asarray(photographs[(video + i) % len(photographs)].resize(size))
        for i, size in ((0, (2 * WIDTH, 2 * HEIGHT)), (3, (WIDTH // 2, HEIGHT // 2)))
    )
    (phases,) = keyed.uniform(0, "video", 0, [video], 4) * 2 * np.pi
    time_ = np.arange(NUM_FRAMES) / RATE
    left, top, x, y = (
        ((0.5 + 0.5 * np.sin(speed * time_ + phase)) * room).astype(int)
        for speed, phase, room in zip(
            (0.6, 0.45, 1.3, 0.9), phases, (WIDTH, HEIGHT, WIDTH // 2, HEIGHT // 2), strict=True
        )
    )
    for t in range(NUM_FRAMES):
        frame = behind[top[t] : top[t] + HEIGHT, left[t] : left[t] + WIDTH].copy()
        frame[y[t] : y[t] + HEIGHT // 2, x[t] : x[t] + WIDTH // 2] = before
        yield frame


def save_videos(folder: Path, num: int, gop: int) -> list[str]:
    """Encodes the videos with keyframes no more than `gop` frames apart; returns their paths."""
    paths = []
    for video in range(num):
        paths.append(str(folder / f"{gop:03d}-{video:03d}.mp4"))
        with av.open(paths[-1], "w") as container:
            stream = container.add_stream("libx264", rate=RATE)
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", gop
            for frame in frames_of(video):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
    return paths


def plain_clip(path: str, drawn: Draws, config: DataConfig) -> torch.Tensor:
    """What random_clip gives, by a loop over the frames from the first to the clip's last: (3, T, S, S) uint8."""
    assert config.train_resize is not None and config.clip_span is not None and config.clip_length is not None
    flip, start, side, x, y = drawn
    lowest, highest = config.train_resize
    shorter, size = lowest + int(side * (highest - lowest + 1)), config.image_size
    kept, reformatter = [], VideoReformatter()
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        width, height = (
            shorter * length // min(stream.width, stream.height) for length in (stream.width, stream.height)
        )
        left, top = int(x * (width - size + 1)), int(y * (height - size + 1))
        first = int(start * (stream.frames - config.clip_span + 1))
        wanted = range(first, first + config.clip_span, config.clip_span // config.clip_length)
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                scaled = reformatter.reformat(
                    frame, width, height, "gbrp",
                    interpolation=SCALING, dst_color_range=ColorRange.JPEG, threads=1,
                )  # fmt: skip
                kept.append(scaled.to_ndarray()[top : top + size, left : left + size])
            if number == wanted[-1]:
                break
    clip = torch.from_numpy(np.stack(kept)).permute(3, 0, 1, 2)
    return clip.flip(3) if config.flip and flip < 0.5 else clip


def check(paths: list[str], config: DataConfig) -> None:
    """Clips of both sides against each other.

    Raises:
        SystemExit: they differ, so that no speed is reported.
    """
    for path, drawn in zip(paths, draws_of(99, len(paths)), strict=True):
        ours, plain = random_clip(path, drawn, config), plain_clip(path, drawn, config)
        if not torch.equal(ours, plain):
            share = float((ours != plain).float().mean()) if ours.shape == plain.shape else 1.0
            raise SystemExit(f"the clips of {path} differ in {share:.1%} of their values")


def draws_of(round_: int, num: int) -> Draws:
    """Of a round's clips, (num, NUM_CLIP_DRAWS)."""
    return keyed.uniform(round_, "bench", 0, np.arange(num), NUM_CLIP_DRAWS)


def measure(
    paths: list[str], config: DataConfig, makers: dict[str, Maker], rounds: int
) -> dict[str, list[float]]:
    """CPU milliseconds a clip of each way, in each round."""
    spent: dict[str, list[float]] = {name: [] for name in makers}
    for round_ in range(rounds + 1):
        names = list(makers)
        first = round_ % len(names)  # who comes after whom must not matter
        for name in names[first:] + names[:first]:
            start = time.process_time()
            for path, drawn in zip(paths, draws_of(round_, len(paths)), strict=True):
                makers[name](path, drawn, config)
            if round_ > 0:  # the first round pays for memory, imports and the file cache
                spent[name].append(1e3 * (time.process_time() - start) / len(paths))
    return spent


def row_of(gop: int, paths: list[str], spent: dict[str, list[float]]) -> dict[str, object]:
    """Milliseconds of both ways, and how many times the plain loop takes as long."""
    ratios = [plain / ours for ours, plain in zip(spent["gnexp"], spent["plain"], strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    return {
        "gop": gop, "mean_bytes": round(statistics.mean(Path(path).stat().st_size for path in paths)),
        **{f"{name}_ms": round(statistics.median(found), 2) for name, found in spent.items()},
        "ratio": round(median, 2), "ratio_low": round(low, 2), "ratio_high": round(high, 2),
    }  # fmt: skip


def main() -> None:
    """Makes the videos, checks, measures, and prints the table and the JSON line."""
    parser = argparse.ArgumentParser(prog="gnexp bench video", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--videos", type=int, default=6, help="of each kind; every round takes a clip of each"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--gops", type=int, nargs="+", default=[16, 250], help="frames between keyframes")
    options = parser.parse_args()
    if min(options.videos, options.rounds, *options.gops) < 1:
        parser.error("--videos, --rounds and --gops must be at least 1")
    torch.set_num_threads(1)
    config, rows = config_of(), []
    with tempfile.TemporaryDirectory() as folder:
        for gop in options.gops:
            paths = save_videos(Path(folder), options.videos, gop)
            check(paths, config)
            makers: dict[str, Maker] = {"gnexp": random_clip, "plain": plain_clip}
            rows.append(row_of(gop, paths, measure(paths, config, makers, options.rounds)))
    code = commit()
    print(
        f"CPU milliseconds a clip of {config.clip_length} frames, of one core; {options.videos} videos of "
        f"{NUM_FRAMES} frames of {WIDTH} x {HEIGHT} pixels; medians of {options.rounds} interleaved rounds\n"
        f"{processor()}, PyAV {av.__version__}, commit {code['commit']}{' with changes' if code['dirty'] else ''}\n"
    )
    print("| frames between keyframes | KB a video | gnexp, ms | plain loop, ms | ratio | quartiles |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['gop']} | {int(str(row['mean_bytes'])) // 1000} | {row['gnexp_ms']} | {row['plain_ms']} "
            f"| {row['ratio']} | {row['ratio_low']}-{row['ratio_high']} |"
        )
    print(
        json.dumps(
            {
                "bench": "video", "videos": options.videos, "rounds": options.rounds, "machine": processor(),
                "av": av.__version__, "libraries": av.library_versions, **code, "rows": rows,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
