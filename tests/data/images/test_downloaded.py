"""Data sets by way of torchvision: its own formats, from small archives; every failure in one line, none for good."""

import dataclasses
import gzip
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, FashionMNIST

from gnexp.compose.composer import Composer
from gnexp.config import DataConfig, data_config
from gnexp.data.images import downloaded
from gnexp.data.images.downloaded import open_downloaded
from tests.data.archives import images_of, pack_cifar10, write_fashion_mnist
from tests.data.server import Server, serve

CPU = torch.device("cpu")
GRAY_TRAIN, GRAY_TEST = images_of(30, 28, 28), images_of(20, 28, 28)
COLOR_TRAIN, COLOR_TEST = images_of(40, 3, 32, 32), images_of(10, 3, 32, 32)
SOURCE = Path("/usr/share/datasets/fashion-mnist")
CLOSED = "http://127.0.0.1:9"  # nobody listens there


def gray(root: Path) -> DataConfig:
    return data_config(name="f", kind="fashion_mnist", image_size=28, flip=False, root=str(root))


def color(root: Path) -> DataConfig:
    return data_config(
        name="c",
        kind="cifar10",
        channels=3,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        flip=False,
        root=str(root),
    )


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(FashionMNIST, "mirrors", [f"{CLOSED}/"])
    monkeypatch.setattr(CIFAR10, "url", f"{CLOSED}/{CIFAR10.filename}")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Offers CIFAR-10's small archive."""
    with serve(pack_cifar10(COLOR_TRAIN, COLOR_TEST, monkeypatch)) as server:
        monkeypatch.setattr(CIFAR10, "url", f"{server.url}/{CIFAR10.filename}")
        yield server


def test_fashion_mnist_is_read_from_its_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fashion_mnist(tmp_path, GRAY_TRAIN, GRAY_TEST, monkeypatch)
    dataset = open_downloaded(gray(tmp_path), CPU)
    assert (dataset.num_train, dataset.num_val) == (30, 20)
    for (images, labels), batches in (
        (GRAY_TRAIN, dataset.train_batches(0, 0, [np.arange(20)])),
        (GRAY_TEST, dataset.val_batches([np.arange(20)])),
    ):
        (batch,) = batches
        expected = (torch.from_numpy(images[:20, None]).float() / 255 - 0.5) / 0.25
        torch.testing.assert_close(batch.images, expected)
        assert batch.labels.tolist() == labels[:20].tolist()


def test_cifar10_is_downloaded_once(
    tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "new" / "data"
    dataset = open_downloaded(color(root), CPU)
    requests = server.requests
    assert requests > 0
    assert capfd.readouterr() == (f"downloading CIFAR10, 170 MB, into {root}\n", "")
    again = open_downloaded(color(root), CPU)
    assert server.requests == requests and capfd.readouterr() == ("", "")
    assert again.fingerprint == dataset.fingerprint
    assert (dataset.num_train, dataset.num_val) == (40, 10)
    (batch,) = dataset.val_batches([np.arange(10)])
    assert torch.equal(batch.images, torch.from_numpy(COLOR_TEST[0]).float() / 255)
    (batch,) = dataset.train_batches(0, 0, [np.arange(40)])
    assert torch.equal(batch.images, torch.from_numpy(COLOR_TRAIN[0]).float() / 255)
    assert batch.labels.tolist() == COLOR_TRAIN[1].tolist()


def test_a_download_that_breaks_off_does_not_spoil_the_next(tmp_path: Path, server: Server) -> None:
    server.sent = len(server.content) // 2
    with pytest.raises(ValueError, match=r"cifar-10-python.tar.gz has the wrong MD5") as caught:
        open_downloaded(color(tmp_path), CPU)
    assert "\n" not in str(caught.value)
    server.sent = len(server.content)
    assert open_downloaded(color(tmp_path), CPU).num_train == 40


def test_runs_that_start_together_download_once(tmp_path: Path, server: Server) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(open_downloaded(color(tmp_path), CPU).fingerprint))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len(set(found)) == 1
    assert server.requests == 2  # torchvision follows redirects with the first


def test_unpacked_files_that_were_cut_short_are_unpacked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write_fashion_mnist(tmp_path, GRAY_TRAIN, GRAY_TEST, monkeypatch)
    whole = open_downloaded(gray(tmp_path), CPU).fingerprint
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"")
    (raw / "train-images-idx3-ubyte").write_bytes((raw / "train-images-idx3-ubyte").read_bytes()[:1000])
    assert open_downloaded(gray(tmp_path), CPU).fingerprint == whole

    archive = tmp_path / CIFAR10.filename
    archive.write_bytes(pack_cifar10(COLOR_TRAIN, COLOR_TEST, monkeypatch))
    whole = open_downloaded(color(tmp_path), CPU).fingerprint
    (tmp_path / CIFAR10.base_folder / "data_batch_3").write_bytes(b"short")
    assert open_downloaded(color(tmp_path), CPU).fingerprint == whole


def test_an_unpacked_file_without_its_archive_is_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write_fashion_mnist(tmp_path, GRAY_TRAIN, GRAY_TEST, monkeypatch)
    open_downloaded(gray(tmp_path), CPU)
    for archive in raw.glob("*.gz"):
        archive.unlink()
    assert open_downloaded(gray(tmp_path), CPU).num_train == 30
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"mine")
    with pytest.raises(ValueError, match="FashionMNIST must be in"):
        open_downloaded(gray(tmp_path), CPU)
    assert len(list(raw.iterdir())) == 4


@pytest.mark.parametrize(
    ("config", "by_hand"),
    [
        (gray, "put train-images-idx3-ubyte.gz, .* into .*/FashionMNIST/raw, or give data.root="),
        (color, "put cifar-10-python.tar.gz into .*, or give data.root="),
    ],
)
def test_no_network_is_one_line_that_says_where_the_files_go(config, by_hand: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=f"must be in .*Connection refused.*{by_hand}") as caught:
        open_downloaded(config(tmp_path), CPU)
    assert "\n" not in str(caught.value)


def test_a_server_that_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloaded, "_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{silent.getsockname()[1]}/a.tar.gz")
        with pytest.raises(ValueError, match="timed out"):
            open_downloaded(color(tmp_path), CPU)
    assert socket.getdefaulttimeout() is None


def test_a_root_that_cannot_be_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data.root must be a folder, got none"):
        open_downloaded(dataclasses.replace(gray(tmp_path), root=None), CPU)
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match="data.root must be a folder, got .*file, which is a file"):
        open_downloaded(gray(file), CPU)
    with pytest.raises(ValueError, match="Not a directory"):
        open_downloaded(gray(file / "below"), CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_source": "train"}, "data.val_source is not for kind cifar10, got train; leave it out"),
        ({"exposure": 0.5}, "data.exposure is not for kind cifar10, got 0.5"),
        ({"crop_area": (0.1, 1.0)}, "data.crop_area is not for kind cifar10"),
        ({"image_size": 28}, "data.image_size must be 32 for kind cifar10, got 28"),
        ({"num_classes": 100}, "data.num_classes must be 10 for kind cifar10, got 100"),
        ({"channels": 1, "mean": (0.5,), "std": (0.5,)}, "data.channels must be 3 for kind cifar10, got 1"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        open_downloaded(data_config(**{**dataclasses.asdict(color(tmp_path)), **change}), CPU)


def test_fewer_images_and_other_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fashion_mnist(tmp_path, GRAY_TRAIN, GRAY_TEST, monkeypatch)
    config = dataclasses.replace(gray(tmp_path), num_train=7, num_val=5)
    dataset = open_downloaded(config, CPU)
    assert (dataset.num_train, dataset.num_val) == (7, 5)
    with pytest.raises(ValueError, match="data.num_train must be between 1 and 30, .*, got 31"):
        open_downloaded(dataclasses.replace(config, num_train=31), CPU)
    with pytest.raises(ValueError, match="its config expects 00ff"):
        open_downloaded(dataclasses.replace(config, sha256="00ff"), CPU)


@pytest.mark.data
@pytest.mark.skipif(not SOURCE.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_the_whole_of_fashion_mnist_is_what_its_file_says(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in SOURCE.glob("*.gz"):  # packed again by Debian: other checksums, the same files inside
        (raw / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
    config = Composer().run(["data=fashion_mnist", f"data.root={tmp_path}"]).data
    dataset = open_downloaded(config, CPU)
    assert (dataset.num_train, dataset.num_val) == (60_000, 10_000)
    images = next(dataset.train_batches(0, 0, [np.arange(60_000)])).images
    assert abs(float(images.mean())) < 0.01 and abs(float(images.std()) - 1) < 0.01
