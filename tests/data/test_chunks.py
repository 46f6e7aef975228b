"""Loader processes that die or hang, unreadable images that are skipped, and what never is."""

import contextlib
import multiprocessing
import os
import resource
import select
import shutil
import signal
import socket
import sys
import time
import warnings
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd

import numpy as np
import pytest
import torch
from PIL import Image

from gnexp.config import data_config
from gnexp.data.chunks import Chunk, load_chunks
from gnexp.data.dataset import Indices
from gnexp.data.images.imagefolder import ImageFolder
from gnexp.data.remarks import FileWarning, file_warnings
from gnexp.system.signals import become_loader

CPU = torch.device("cpu")


class Failing(torch.utils.data.Dataset[Chunk]):
    """Makes a chunk, unless its first index says how to fail."""

    def __getitem__(self, indices: Indices) -> Chunk:
        if indices[0] == 100:
            os.kill(os.getpid(), signal.SIGKILL)
        if indices[0] == 101:
            os.kill(os.getpid(), signal.SIGSTOP)  # as deaf as in a system call that does not return
        assert indices[0] != 102, "a defect"
        if indices[0] == 103:
            _die_at_the_worst_moment()
        return Chunk(torch.zeros((len(indices), 3, 1, 1), dtype=torch.uint8), indices, {})


@contextlib.contextmanager
def _at_most(seconds):
    """Ends what waits for good, in C too."""

    def end(number, frame):
        raise TimeoutError(f"still waiting after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _die_at_the_worst_moment():
    """As if while torch's loop in a loader process looks at its event, whose lock then stays locked."""
    frame = sys._getframe()
    while "done_event" not in frame.f_locals:
        frame = frame.f_back
    if condition := getattr(frame.f_locals["done_event"], "_cond", None):
        condition.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("index", "timeout", "line"),
    [
        (100, 60.0, r"^a loader process died \(.*\): was memory short\? Give fewer data.loader_workers$"),
        (103, 60.0, r"^a loader process died \(.*\): was memory short\? Give fewer data.loader_workers$"),
        (101, 1.0, r"^no loader process answered for 1 s: .* raise data.loader_timeout$"),
    ],
)
def test_a_loader_process_that_dies_or_hangs_is_one_line(index, timeout, line):
    steps = [np.arange(3), np.arange(3), np.array([index]), *[np.arange(3)] * 20]
    chunks = load_chunks(Failing(), steps, num_processes=2, timeout=timeout, is_pinned=False)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=line), _at_most(30):
        list(chunks)
    assert time.monotonic() - start < 10
    assert not multiprocessing.active_children()


def test_a_loader_process_that_stops_at_any_moment_is_noticed():
    """Also one that has handed over a chunk but not yet the memory that its pixels are in."""
    steps = [np.arange(32)] * 200
    chunks = load_chunks(Failing(), steps, num_processes=1, timeout=1.0, is_pinned=False)
    next(chunks)
    (process,) = multiprocessing.active_children()
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(RuntimeError, match="no loader process answered for 1 s"):
        list(chunks)
    assert not process.is_alive()


@pytest.mark.parametrize("num_processes", [0, 1])
def test_a_defect_of_ours_stays_one(num_processes):
    steps = [np.array([102])]
    with pytest.raises(AssertionError, match="a defect"):
        list(load_chunks(Failing(), steps, num_processes=num_processes, timeout=60.0, is_pinned=False))


def _share_and_wait(is_ours, pipe):
    sys.stderr = os.fdopen(pipe.fileno(), "w", buffering=1, closefd=False)
    if is_ours:
        become_loader(0)
    shared = DupFd(0)
    pipe.send(shared._id[0])  # the address at which a consumer fetches a tensor's memory
    time.sleep(60)


@pytest.mark.parametrize("is_ours", [False, True])
def test_a_consumer_that_is_killed_while_it_fetches_leaves_no_traceback(is_ours):
    """What happens when a run's process is killed; without become_loader its loader processes print tracebacks."""
    own, other = socket.socketpair()
    process = multiprocessing.get_context("fork").Process(
        target=_share_and_wait, args=(is_ours, Connection(other.detach()))
    )
    process.start()
    try:
        pipe = Connection(own.detach())
        address = pipe.recv()
        for seconds in (0.0, 0.2):  # gone before and after the handshake has begun
            with socket.socket(socket.AF_UNIX) as consumer:
                consumer.connect(address)
                time.sleep(seconds)
        said = b""
        while select.select([pipe.fileno()], [], [], 1.0)[0]:
            said += os.read(pipe.fileno(), 10_000)
    finally:
        process.kill()
        process.join()
    assert (b"ConnectionResetError" in said) == (not is_ours), said
    assert not is_ours or said == b""


def test_a_step_is_cut_into_chunks_and_none_is_mixed():
    steps = [np.arange(70), np.arange(70, 72)]
    found = list(load_chunks(Failing(), steps, num_processes=0, timeout=1.0, is_pinned=False))
    assert [[len(chunk.pixels) for chunk in chunks] for chunks in found] == [[32, 32, 6], [2]]
    for step, chunks in zip(steps, found, strict=True):
        assert np.array_equal(np.concatenate([chunk.labels for chunk in chunks]), step)


def _config(root, **changes):
    settings = {
        "name": "photographs", "kind": "imagefolder", "root": str(root), "image_size": 16, "channels": 3,
        "num_classes": 2, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "flip": False, "crop_area": (1.0, 1.0),
        "crop_aspect": (1.0, 1.0), "eval_resize": 16, "loader_workers": 0,
    }  # fmt: skip
    return data_config(**(settings | changes))


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """20 gray images of levels of their own: 0 to 9 in class a, 10 to 19 in class b."""
    root = tmp_path_factory.mktemp("gray")
    for index in range(20):
        for split in ("train", "val"):
            path = root / split / "ab"[index // 10] / f"{index:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((16, 16, 3), 10 * index, dtype=np.uint8)).save(path)
    return root


@pytest.fixture
def root(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "gray")


def _train(dataset, epoch=0, seed=0):
    (batch,) = dataset.train_batches(seed, epoch, [np.arange(20)])
    return (batch.images[:, 0, 0, 0] * 25.5).round().int().tolist(), batch.labels.tolist()


def test_an_unreadable_image_is_replaced_by_the_same_one_always(root):
    bad = root / "train" / "a" / "03.png"
    bad.write_bytes(b"")
    one = ImageFolder(_config(root, on_error="skip"), CPU)
    images, labels = _train(one)
    assert images[:3] + images[4:] == [*range(3), *range(4, 20)]  # no other is touched
    assert images[3] != 3 and labels[3] == images[3] // 10  # another image, and its own label
    assert one.skipped == {str(bad): "an empty file"}
    for changes, key in (({}, (1, 0)), ({}, (0, 1)), ({"loader_workers": 2}, (0, 0))):
        assert _train(ImageFolder(_config(root, on_error="skip", **changes), CPU), *key) == (images, labels)


def test_a_replacement_that_is_unreadable_is_replaced_too(root):
    seen = []
    for _ in range(6):  # each time what stands in for image 3 is spoiled as well
        dataset = ImageFolder(_config(root, on_error="skip"), CPU)
        images, _ = _train(dataset)
        assert not set(images) & set(seen)
        bad = seen[-1] if seen else 3
        spoiled = images[3] if seen else bad
        (root / "train" / "ab"[spoiled // 10] / f"{spoiled:02d}.png").write_bytes(b"cut")
        seen.append(spoiled)
    assert len(set(seen)) == 6 and len(dataset.skipped) == 5


def test_more_than_max_skipped_end_the_run(root):
    for index in range(4):
        (root / "train" / "a" / f"{index:02d}.png").write_bytes(b"")
    dataset = ImageFolder(_config(root, on_error="skip", max_skipped=4), CPU)
    _train(dataset)
    assert len(dataset.skipped) == 4
    line = (
        r"more than data.max_skipped=3 training images cannot be read, the last .*/train/a/.*gnexp data check"
    )
    with pytest.raises(ValueError, match=line):
        _train(ImageFolder(_config(root, on_error="skip", max_skipped=3), CPU))
    for path in (root / "train").glob("*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="more than data.max_skipped=5 |nor could any image"):
        _train(ImageFolder(_config(root, on_error="skip", max_skipped=5), CPU))
    with pytest.raises(ValueError, match="nor could any image that was to stand in for it"):
        _train(ImageFolder(_config(root, on_error="skip"), CPU))


@pytest.mark.parametrize("loader_workers", [0, 1])
def test_evaluation_skips_nothing(root, loader_workers):
    (root / "val" / "b" / "15.png").write_bytes(b"")
    dataset = ImageFolder(_config(root, on_error="skip", loader_workers=loader_workers), CPU)
    with pytest.raises(
        ValueError, match=r"val/b/15.png: an empty file; .* without it the score would be another"
    ):
        list(dataset.val_batches([np.arange(20)]))
    assert dataset.skipped == {}


def test_a_fault_of_the_machine_is_never_skipped(root):
    """No descriptor is left to open an image with: the image is not to blame, and none may stand in for it."""
    dataset = ImageFolder(_config(root, on_error="skip"), CPU)
    _train(dataset)  # so that nothing is left to be imported
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    line = (
        r"^cannot read .*/train/a/00.png: Too many open files, which is no fault of the image; mend that, and"
    )
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
        with pytest.raises(ValueError, match=line):
            _train(dataset)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert dataset.skipped == {}


class Remarking(torch.utils.data.Dataset):
    """Remarks on a file, and warns of something else, for each index."""

    def __getitem__(self, indices):
        for index in indices:
            warnings.warn(FileWarning(f"/{index}.jpg", "odd"), stacklevel=1)
        return list(indices)


@pytest.mark.parametrize("num_processes", [0, 1])
def test_remarks_come_with_the_chunks(num_processes):
    found = []
    with file_warnings(found.append):
        steps = [np.array([1, 2]), np.array([1])]
        chunks = list(
            load_chunks(Remarking(), steps, num_processes=num_processes, timeout=60.0, is_pinned=False)
        )
    assert chunks == [[[1, 2]], [[1]]]
    assert [str(warning) for warning in found] == ["/1.jpg: odd", "/2.jpg: odd", "/1.jpg: odd"]
