"""The embedded garments in motion, as videos in Kinetics' layout: generated on first use, opened as Kinetics is.

The class is the motion, and no single frame tells it (see motions.py). The files are mp4, H.264 without loss: what is
decoded is what was generated, whichever encoder wrote the file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import torch
from av.video.reformatter import ColorRange

from gnexp.data.class_files import ClassFiles
from gnexp.data.generated.motions import CANVAS, SETS, make_video
from gnexp.data.generated.store import check_is_given, check_made, made_folder, split_garments, with_progress
from gnexp.data.kinds.fashion_clips import FashionClipsConfig
from gnexp.data.video.clips import Clips
from gnexp.data.video.kept import KeptVideos
from gnexp.data.video.kinetics import scan_splits
from gnexp.system.files import write_json

_VERSION = 1  # of what is generated; part of the folder's name
_MANIFEST = "manifest.json"
_RATE = 25  # frames per second
_KEYFRAMES = 16  # frames from one to the next at most: without them a seek would lead nowhere


def open_fashion_clips(config: FashionClipsConfig, device: torch.device) -> Clips:
    """Opens the set of these settings, in a folder of its own in data.root; the first time, generates it.

    The fingerprint is of the generated frames. The manifest that is written last holds it, and the sha256 of
    all files, which is checked whenever the set is opened.

    Raises:
        ValueError: a setting that this kind cannot follow, a folder that cannot be written, or videos that are damaged
            or not those of config.sha256.
    """
    check_is_given(config)
    settings: tuple[object, ...] = _VERSION, config.exposure or 0.0, config.val_source or "test"
    if config.motions is not None:
        settings = (*settings, config.motions)
    folder = made_folder(config, settings, lambda place: _fill(place, config))
    try:
        fingerprint, of_files = _read_manifest(folder / _MANIFEST)
        train, val, _ = scan_splits(folder, config)
        if _digest_files(train, val) != of_files:
            raise ValueError(f"{folder} must hold the videos of its {_MANIFEST}, it holds others; mend it")
    except ValueError as error:
        raise ValueError(f"{error} (or remove {folder}, and it is generated again)") from error
    check_made(config, fingerprint, folder, "videos")
    is_whole = (*config.train_resize, config.eval_resize) == (CANVAS,) * 3
    # A loader process would keep its own for one epoch.
    kept = KeptVideos(config.channels) if is_whole and config.loader_workers == 0 else None
    return Clips(config, device, train, val, fingerprint=fingerprint, notes=[], kept=kept)


def _fill(root: Path, config: FashionClipsConfig) -> None:
    digest = hashlib.sha256()
    motions = config.motions or "directed"
    names = tuple(SETS[motions])
    for split, (garments, _) in split_garments(config.val_source).items():
        for motion in names:
            (root / split / motion).mkdir(parents=True)
        for index in with_progress(config, split, "video"):
            label = index % len(names)
            frames = make_video(
                garments,
                label=label,
                exposure=config.exposure or 0.0,
                split=split,
                index=index,
                motions=motions,
            )
            digest.update(f"{split} {names[label]} {frames.shape}\n".encode() + frames.tobytes())
            # Named as Kinetics' are: 11 letters of YouTube's, first and last second.
            _write_video(root / split / names[label] / f"garment{index:04d}_000000_000003.mp4", frames)
    train, val, _ = scan_splits(root, config)
    write_json(root / _MANIFEST, {"sha256": digest.hexdigest(), "files": _digest_files(train, val)})


def _write_video(path: Path, frames: npt.NDArray[np.uint8]) -> None:
    """Gray frames, (T, H, W), without loss."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=_RATE, options={"qp": "0", "preset": "ultrafast"})
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt, stream.gop_size = "gray", _KEYFRAMES
        stream.codec_context.color_range = ColorRange.JPEG  # 0 to 255
        stream.codec_context.thread_count = 1
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="gray")))
        container.mux(stream.encode(None))


def _read_manifest(path: Path) -> tuple[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["sha256"]), str(content["files"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"cannot read {path}: {error}; mend it") from error


def _digest_files(*splits: ClassFiles) -> str:
    """sha256 of names and bytes."""
    digest = hashlib.sha256()
    for files in splits:
        digest.update(files.digest.encode())
        for index in range(len(files.labels)):
            try:
                digest.update(Path(files.path(index)).read_bytes())
            except OSError as error:
                raise ValueError(f"cannot read {error.filename}: {error.strerror}; mend that") from error
    return digest.hexdigest()
