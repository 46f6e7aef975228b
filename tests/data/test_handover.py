"""Tensors of loader processes need no room in /dev/shm; where not even a semaphore has any, that is said at once."""

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gnexp.data.chunks import Chunk, load_chunks
from gnexp.data.dataset import Indices

ROOT = Path(__file__).parents[2]
# The paper's setting: 256 images of 224 pixels a step, two loader processes, a step ahead: 75.5 MB.
PAPER = (3, 224, 224)


class Numbered(torch.utils.data.Dataset[Chunk]):
    """Images that are full of their own index."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape

    def __getitem__(self, indices: Indices) -> Chunk:
        column = torch.from_numpy(indices % 256).to(torch.uint8).view(-1, *[1] * len(self._shape))
        return Chunk(column.expand(-1, *self._shape).contiguous(), indices, {})


def check_loading(shape: tuple[int, ...], num_images: int, num_steps: int, num_processes: int = 2) -> None:
    """Every image arrives as it was generated."""
    steps = [np.arange(i, i + num_images) for i in range(num_steps)]
    loaded = load_chunks(Numbered(shape), steps, num_processes=num_processes, timeout=30.0, is_pinned=False)
    for step, chunks in zip(steps, loaded, strict=True):
        pixels = torch.cat([chunk.pixels for chunk in chunks]).flatten(1)
        expected = torch.from_numpy(step % 256).to(torch.uint8)
        assert torch.equal(pixels.amin(1), expected) and torch.equal(pixels.amax(1), expected)
        assert np.array_equal(np.concatenate([chunk.labels for chunk in chunks]), step)
        chunks[0].pixels.add_(1)  # it is ours to write


_IN_A_NAMESPACE = f"""
import subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.data.test_handover import PAPER, check_loading
for options in ("size=64k", "size=64m", "size=64k,ro"):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", "/dev/shm"], check=True)
    try:
        check_loading(PAPER, 256, 4)
        print(options, "loaded")
    except (ValueError, RuntimeError) as error:
        print(options, error)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", "/dev/shm"], check=True)
try:
    check_loading(PAPER, 256, 1, num_processes=8)
except (ValueError, RuntimeError) as error:
    print(8, error)
"""


@pytest.mark.slow
def test_a_small_or_read_only_dev_shm() -> None:
    unshare = shutil.which("unshare")
    probe = [str(unshare), "-rm", "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/dev/shm"]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not permitted here (unshare -rm)")
    done = subprocess.run(
        [unshare, "-rm", sys.executable, "-c", _IN_A_NAMESPACE],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[:2] == ["size=64k loaded", "size=64m loaded"], done.stdout + done.stderr
    read_only, many = lines[2:]
    assert read_only.startswith(
        "size=64k,ro loader processes need 9 semaphores, 36 kB of /dev/shm: Read-only file system; "
    )
    assert many.startswith(
        "8 loader processes need 27 semaphores, 108 kB of /dev/shm: No space left on device; "
    )
    assert "data.loader_workers=0" in read_only and "--shm-size" in many
    assert done.stderr == ""


@pytest.mark.parametrize("is_forbidden", [False, True])
@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 64, 64)])
def test_tensors_arrive_whole(
    monkeypatch: pytest.MonkeyPatch, is_forbidden: bool, shape: tuple[int, ...]
) -> None:
    """Small ones through the pipe, and all of them where a machine allows no anonymous memory."""
    named = []

    def create(name: str) -> int:
        named.append(name)
        raise OSError(38, "Function not implemented")

    if is_forbidden:
        monkeypatch.setattr(os, "memfd_create", create)
    check_loading(shape, 40, 3, num_processes=1)
    assert named == []  # only loader processes make it


def test_no_descriptor_is_left_open() -> None:
    counts = []
    for num_steps in (1, 20):
        check_loading((3, 64, 64), 40, num_steps)
        gc.collect()  # of torch's loader
        counts.append(len(os.listdir("/proc/self/fd")))
    assert counts[0] == counts[1]
