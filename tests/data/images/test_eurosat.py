"""EuroSAT by way of torchvision: its split, its pixels, its archive; every failure in one line that names the file."""

import hashlib
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gnexp.config import DataConfig, data_config
from gnexp.data.build import build_dataset
from gnexp.data.images.eurosat import halve, open_eurosat, split_photographs
from gnexp.data.kinds.eurosat import EuroSatConfig
from tests.composing import COMPOSER
from tests.data.eurosat import COUNTS, decoded, offer_eurosat, pack_eurosat, write_eurosat
from tests.data.server import serve

CPU = torch.device("cpu")
CLOSED = "http://127.0.0.1:9/EuroSAT.zip"  # nobody listens there
PHOTOS = Path(os.environ.get("GNEXP_PHOTOS", "no/such/folder"))


def photos(root: Path, **values: object) -> DataConfig:
    black = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    return data_config(name="e", kind="eurosat", channels=3, flip=False, root=str(root), **black, **values)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the classes, below tmp_path, without a network."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = write_eurosat(tmp_path, monkeypatch)
    offer_eurosat(pack_eurosat(folder), CLOSED, monkeypatch)
    return folder


def test_the_split_takes_a_fifth_of_each_class_twice() -> None:
    train, val = split_photographs(EuroSatConfig.counts, None)
    same, held_out = split_photographs(EuroSatConfig.counts, "train")
    assert (len(train), len(val), len(held_out)) == (16_200, 5_400, 5_400) and train == same
    assert len({*train, *val, *held_out}) == 27_000
    for part in (val, held_out):
        assert Counter(p.name for p in part) == {name: num // 5 for name, num in EuroSatConfig.counts.items()}
    for num in (10, 100, 1000):  # what starts a part has the classes in proportion
        of_class = Counter(p.name for p in train[:num])
        assert all(abs(of_class[n] - num * c / 27_000) <= 1 for n, c in EuroSatConfig.counts.items())


def test_the_split_is_the_one_that_was_reported_on() -> None:
    """Its sha256, and where a class goes does not depend on what other classes there are."""
    whole = [p.file for part in split_photographs(EuroSatConfig.counts, None) for p in part]
    assert hashlib.sha256("\n".join(whole).encode()).hexdigest() == (
        "69daf8a956152f2032924a51ad2b166a692351b906ca47484b22ef1ed09261d0"
    )
    rivers = [p.number for p in split_photographs({"River": 2500}, None)[1]]
    assert rivers == [p.number for p in split_photographs(EuroSatConfig.counts, None)[1] if p.name == "River"]


def test_halve_rounds_a_half_up() -> None:
    pixels = np.array([[0, 1, 255, 255], [1, 0, 255, 254]], dtype=np.uint8)[..., None]
    assert halve(pixels)[..., 0].tolist() == [[1, 255]]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 4, 3), dtype=np.uint8)
    means = pixels.reshape(3, 2, 2, 2, 3).mean(axis=(1, 3))
    assert np.array_equal(halve(pixels), np.floor(means + 0.5))


@pytest.mark.parametrize("size", [32, 64])
def test_each_photograph_has_its_own_pixels_and_label(size: int, tmp_path: Path, folder: Path) -> None:
    dataset = open_eurosat(photos(tmp_path, image_size=size), CPU)
    assert (dataset.num_train, dataset.num_val) == (45, 15)
    train, val = split_photographs(COUNTS, None)
    for part, batches in (
        (train, dataset.train_batches(0, 0, [np.arange(45)])),
        (val, dataset.val_batches([np.arange(15)])),
    ):
        (batch,) = batches
        assert batch.labels.tolist() == [sorted(COUNTS).index(p.name) for p in part]
        for image, photograph in zip(batch.images, part, strict=True):
            pixels = decoded(folder / photograph.file)
            pixels = pixels if size == 64 else halve(pixels)
            assert torch.equal(image, torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)


def test_searching_scores_other_photographs_and_trains_on_the_same(tmp_path: Path, folder: Path) -> None:
    report, search = (open_eurosat(photos(tmp_path, val_source=s), CPU) for s in (None, "train"))
    assert report.fingerprint != search.fingerprint

    def pixels(batches) -> set[bytes]:  # type: ignore[no-untyped-def]
        return {image.numpy().tobytes() for batch in batches for image in batch.images}

    same, other = (pixels(d.train_batches(0, 0, [np.arange(45)])) for d in (report, search))
    assert same == other and len(same) == 45
    val, held_out = (pixels(d.val_batches([np.arange(15)])) for d in (report, search))
    assert len(val | held_out | same) == 75


def test_fewer_images_are_the_first_and_nothing_else_is_decoded(tmp_path: Path, folder: Path) -> None:
    train, _ = split_photographs(COUNTS, None)
    (folder / train[7].file).write_bytes(b"damaged")
    dataset = open_eurosat(photos(tmp_path, num_train=7, num_val=5), CPU)
    assert (dataset.num_train, dataset.num_val) == (7, 5)
    with pytest.raises(ValueError, match="data.num_train must be between 1 and 45, .*, got 46"):
        open_eurosat(photos(tmp_path, num_train=46), CPU)
    with pytest.raises(ValueError, match="its config expects 00ff"):
        open_eurosat(photos(tmp_path, num_train=7, sha256="00ff"), CPU)


def test_what_is_wrong_with_a_folder_is_one_line_that_names_the_file(tmp_path: Path, folder: Path) -> None:
    missing, more, others = (
        folder / "River" / "River_1.jpg",
        folder / "River" / "River_6.jpg",
        folder / "Moon",
    )
    content = missing.read_bytes()

    def check(message: str) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            open_eurosat(photos(tmp_path), CPU)
        assert "\n" not in str(caught.value)

    missing.unlink()
    check(
        "EuroSAT has 5 photographs of River, .*/River lacks 1 of them, River_1.jpg first; put it right, or remove "
    )
    missing.write_bytes(content)

    train, _ = split_photographs(COUNTS, None)
    damaged = folder / train[-1].file
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    check(
        f"cannot read the image {damaged}: image file is truncated.*; put it right, or remove {folder} to have it"
    )
    Image.new("RGB", (32, 30)).save(damaged)
    check(f"{damaged} must be 64 x 64 pixels, got 32 x 30")
    damaged.write_bytes(whole)

    more.write_bytes(content)
    check(f"EuroSAT has no River/River_6.jpg, but {folder} has; remove it")
    more.unlink()
    others.mkdir()
    check("EuroSAT has no Moon, but")
    others.rmdir()
    shutil.rmtree(folder / "SeaLake")
    check("EuroSAT has 10 photographs of SeaLake, .* lacks 10 of them, SeaLake_1.jpg first")


def test_no_folder_and_no_network_is_one_line_that_says_what_goes_where(tmp_path: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    (folder.parent / "EuroSAT.zip").write_bytes(b"short")
    with pytest.raises(ValueError, match="EuroSAT must be in .*Connection refused") as caught:
        open_eurosat(photos(tmp_path), CPU)
    line = str(caught.value)
    assert "\n" not in line and "(EuroSAT.zip has the wrong MD5)" in line
    assert f"with a network (90 MB), put EuroSAT.zip into {folder.parent}, or give data.root=" in line
    assert {path.name for path in folder.parent.iterdir()} == {"EuroSAT.zip", ".download.lock"}


def test_an_archive_put_by_hand_is_unpacked_once_and_whole(
    tmp_path: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = open_eurosat(photos(tmp_path), CPU).fingerprint
    archive = folder.parent / "EuroSAT.zip"
    archive.write_bytes(pack_eurosat(folder))
    shutil.rmtree(folder)
    half = folder.parent / ".unpacking.tmp" / "eurosat" / "2750" / "River"  # of a run that was killed
    half.mkdir(parents=True)
    capfd.readouterr()
    assert open_eurosat(photos(tmp_path), CPU).fingerprint == before
    decoding = "decoding 60 photographs of EuroSAT\n"
    assert capfd.readouterr() == (f"unpacking EuroSAT into {folder.parent}\n{decoding}", "")
    assert {path.name for path in folder.parent.iterdir()} == {"2750", "EuroSAT.zip", ".download.lock"}
    assert open_eurosat(photos(tmp_path), CPU).fingerprint == before
    assert capfd.readouterr() == (decoding, "")


def test_it_is_downloaded_once_and_a_download_that_broke_off_is_begun_again(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    content = pack_eurosat(folder)
    before = open_eurosat(photos(tmp_path), CPU).fingerprint
    root = tmp_path / "new" / "data"
    with serve(content) as server:
        offer_eurosat(content, f"{server.url}/EuroSAT.zip", monkeypatch)
        server.sent = len(content) // 2
        with pytest.raises(ValueError, match=r"EuroSAT must be in .*\(EuroSAT.zip has the wrong MD5\)"):
            open_eurosat(photos(root), CPU)
        server.sent = len(content)
        capfd.readouterr()
        assert open_eurosat(photos(root), CPU).fingerprint == before
    downloading = f"downloading EuroSAT, 90 MB, into {root / 'eurosat'}\n"
    assert capfd.readouterr() == (f"{downloading}decoding 60 photographs of EuroSAT\n", "")
    assert open_eurosat(photos(root), CPU).fingerprint == before


def test_on_a_terminal_a_bar_stands_for_the_line(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    open_eurosat(photos(tmp_path), CPU)
    out, err = capsys.readouterr()
    assert out == "" and "decoding EuroSAT:" in err and "/60" in err


def test_of_a_runs_processes_the_first_tells(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    open_eurosat(photos(tmp_path), CPU)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_source": "test"}, "data.val_source must be train"),
        ({"image_size": 28}, "data.image_size must be 32 or 64, got 28"),
        ({"exposure": 0.5}, "data.exposure is not for kind eurosat, got 0.5"),
    ],
)
def test_settings_that_it_does_not_have_are_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        photos(tmp_path, **change)


@pytest.mark.data
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs GNEXP_PHOTOS, a folder with eurosat/2750 and CIFAR-10")
@pytest.mark.parametrize("name", ["eurosat", "eurosat_search", "cifar10"])
def test_the_whole_is_what_its_file_says(name: str) -> None:
    """Opening checks the sha256."""
    dataset = build_dataset(COMPOSER.run([f"data={name}", f"data.root={PHOTOS}"]).data, CPU)
    num = dataset.num_train
    assert (num, dataset.num_val) == ((50_000, 10_000) if name == "cifar10" else (16_200, 5_400))
    (batch,) = dataset.train_batches(0, 0, [np.arange(num)])
    for channel in batch.images.unbind(1):
        assert abs(float(channel.mean())) < 0.02 and abs(float(channel.std()) - 1) < 0.02
