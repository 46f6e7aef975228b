"""Reading, crops and evaluation's resize, against Pillow and torchvision."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

from gnexp.data.images.decode import (
    NUM_CROP_DRAWS,
    UnreadableImageError,
    center_crop,
    crop_box,
    random_crop,
    read_box,
    read_image,
    resize,
)
from gnexp.data.remarks import FileWarning, c_heard
from gnexp.ops import keyed

AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)


def _picture(width, height, mode="RGB"):
    """A smooth pattern, of different phase in each channel."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (5 + c) + y / (9 - 2 * c) + c) for c in range(3)]
    image = Image.fromarray(np.uint8(127.5 + 127.5 * np.stack(waves, axis=2)), "RGB")
    return image.convert(mode)


def _boxes(num, width, height):
    draws = keyed.uniform(0, "test", 0, np.arange(num), NUM_CROP_DRAWS - 1)
    return np.array([crop_box(width, height, row, AREA, ASPECT) for row in draws])


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (64, 64), (900, 100), (1, 1), (3, 40)])
def test_boxes_lie_in_the_image(size):
    width, height = size
    left, top, right, bottom = _boxes(300, width, height).T
    assert (left >= 0).all() and (top >= 0).all()
    assert (right <= width).all() and (bottom <= height).all()
    assert (right > left).all() and (bottom > top).all()


def test_boxes_have_the_papers_areas_and_aspects():
    width, height = 2000, 2000  # large, so that rounding to whole pixels does not show
    left, top, right, bottom = _boxes(8000, width, height).T
    area = (right - left) * (bottom - top) / (width * height)
    aspect = (right - left) / (bottom - top)
    assert AREA[0] * 0.999 < area.min() and area.max() <= 1
    assert ASPECT[0] * 0.999 < aspect.min() and aspect.max() < ASPECT[1] * 1.001
    # Below 3/4 every aspect fits a square at once, so areas there are uniform and log-aspects too.
    fits = area < 0.7
    np.testing.assert_allclose(np.quantile(area[fits], [0.25, 0.5, 0.75]), [0.235, 0.39, 0.545], atol=0.02)
    log_aspect = np.log(aspect[fits]) / np.log(4 / 3)
    np.testing.assert_allclose(np.quantile(log_aspect, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.04)
    # Corners are uniform over the places where the box fits.
    for start, room in ((left, width - (right - left)), (top, height - (bottom - top))):
        np.testing.assert_allclose(
            np.quantile(start[fits] / room[fits], [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03
        )


def test_a_try_that_does_not_fit_is_followed_by_the_next():
    draws = np.full(NUM_CROP_DRAWS - 1, 0.5)
    draws[:4] = [1.0, 1.0, 0.0, 0.5]  # the whole area at 4/3: too wide for a square; then 8 % of it, square
    assert crop_box(100, 100, draws, AREA, ASPECT) == (36, 36, 64, 64)


def test_ten_tries_that_do_not_fit_give_the_centred_square():
    draws = np.full(NUM_CROP_DRAWS - 1, 1.0 - 2**-53)
    assert crop_box(301, 100, draws, AREA, ASPECT) == (100, 0, 200, 100)
    assert crop_box(100, 301, draws, AREA, ASPECT) == (0, 100, 100, 200)


def _close_to_pillow(got, expected):
    """Two 8-bit bicubic resizings: the same but for rounding here and there."""
    difference = np.abs(got.numpy().astype(int) - np.asarray(expected).transpose(2, 0, 1).astype(int))
    assert difference.mean() < 0.2 and (difference > 1).mean() < 0.01


@pytest.mark.parametrize("flip", [True, False])
def test_random_crop_is_torchvisions_on_the_same_box(tmp_path, flip):
    image = _picture(90, 70)
    image.save(tmp_path / "image.png")
    draws = keyed.uniform(0, "test", 0, np.arange(20), NUM_CROP_DRAWS)
    for row in draws:
        left, top, right, bottom = crop_box(90, 70, row[1:], AREA, ASPECT)
        expected = tv.resized_crop(
            image, top, left, bottom - top, right - left, [32, 32], InterpolationMode.BICUBIC
        )
        if flip and row[0] < 0.5:
            expected = tv.hflip(expected)
        got = random_crop(str(tmp_path / "image.png"), row, area=AREA, aspect=ASPECT, flip=flip, size=32)
        assert got.shape == (3, 32, 32)
        _close_to_pillow(got, expected)
    assert 0 < (draws[:, 0] < 0.5).sum() < 20


def test_a_box_is_cut_to_the_pixel(tmp_path):
    image = _picture(50, 40)
    image.save(tmp_path / "image.png")
    box = (7, 3, 29, 31)
    got = read_box(str(tmp_path / "image.png"), lambda width, height: box)
    assert np.array_equal(got.permute(1, 2, 0), image.crop(box))
    assert torch.equal(resize(got, 28, 22), got)


@pytest.mark.parametrize("size", [(500, 375), (333, 500), (256, 256), (300, 301), (100, 90), (257, 1000)])
def test_center_crop_is_torchvisions(tmp_path, size):
    image = _picture(*size)
    image.save(tmp_path / "image.png", compress_level=1)
    for shorter_side, crop in ((256, 224), (64, 63), (40, 40)):
        resized = tv.resize(image, [shorter_side], InterpolationMode.BICUBIC)
        got = center_crop(str(tmp_path / "image.png"), shorter_side, crop)
        assert got.shape == (3, crop, crop)
        _close_to_pillow(got, tv.center_crop(resized, [crop, crop]))


@pytest.mark.parametrize("size", [(1, 400), (400, 1), (3, 200), (190, 7)])
def test_of_a_long_image_the_crop_alone_is_made_and_is_the_wholes(tmp_path, size, monkeypatch):
    """To the bit; of 1 x 4000 pixels at 256 the whole would take 1.6 GB."""
    monkeypatch.setattr("gnexp.data.images.decode._MOST_PIXELS", 1 << 12)
    _picture(*size).save(tmp_path / "image.png")
    sides = []

    def noted(pixels, height, width):
        sides.append(height * width)
        return resize(pixels, height, width)

    whole = torch.from_numpy(np.array(Image.open(tmp_path / "image.png"))).permute(2, 0, 1)
    width, height = (64 * side // min(size) for side in size)
    left, top = round((width - 56) / 2), round((height - 56) / 2)
    expected = resize(whole, height, width)[:, top : top + 56, left : left + 56]
    monkeypatch.setattr("gnexp.data.images.decode.resize", noted)
    got = center_crop(str(tmp_path / "image.png"), 64, 56)
    assert torch.equal(got, expected)
    assert max(sides) <= max(64 * max(size), 64 * max(width, height) // 4) < height * width


@pytest.mark.parametrize("size", [(20, 30), (64, 48), (97, 33)])
def test_resizing_is_exact_but_for_rounding(size):
    """Against the same filter in float64; Pillow's own resizing is as far from it."""
    pixels = torch.from_numpy(np.array(_picture(60, 45))).permute(2, 0, 1)
    exact = F.interpolate(pixels[None].double(), size, mode="bicubic", antialias=True)[0].clamp(0, 255)
    difference = (resize(pixels, *size) - exact).abs()
    assert difference.mean() < 0.35 and difference.max() < 4


def test_scaled_decoding_keeps_enough_pixels_and_changes_little(tmp_path):
    path = str(tmp_path / "image.jpg")
    _picture(640, 482).save(path, quality=95)
    whole = (0, 0, 640, 482)
    for least, shape in (
        (482, (482, 640)),
        (242, (482, 640)),
        (241, (241, 320)),
        (120, (121, 160)),
        (9, (61, 80)),
    ):
        assert read_box(path, lambda width, height: whole, least).shape[1:] == shape
    _picture(80, 60).resize((640, 482), Image.Resampling.BICUBIC).save(
        path, quality=95
    )  # as smooth as photographs
    draws = keyed.uniform(0, "test", 0, np.arange(20), NUM_CROP_DRAWS)
    for row in draws:
        crops = [
            random_crop(path, row, area=AREA, aspect=ASPECT, flip=True, size=64, is_scaled=is_scaled).float()
            for is_scaled in (False, True)
        ]
        assert (crops[0] - crops[1]).abs().mean() < 4
    _picture(640, 482).save(tmp_path / "image.png")
    scaled = center_crop(str(tmp_path / "image.png"), 64, 56, is_scaled=True)
    assert torch.equal(scaled, center_crop(str(tmp_path / "image.png"), 64, 56))  # JPEG alone
    with pytest.raises(ValueError, match="cannot read the image .*gone.jpg: .*No such file"):
        center_crop(str(tmp_path / "gone.jpg"), 64, 56, is_scaled=True)


def test_a_turned_image_stays_as_it_is_stored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    _picture(40, 30).save(tmp_path / "turned.jpg", exif=exif)
    _picture(40, 30).save(tmp_path / "plain.jpg")
    assert np.array_equal(read_image(str(tmp_path / "turned.jpg")), read_image(str(tmp_path / "plain.jpg")))


def test_a_16_bit_rgb_png_gives_its_upper_bytes(tmp_path):
    """As Pillow, and so torchvision's ImageFolder, has it. 16-bit gray is refused: Pillow would clip it to white."""
    values = np.random.default_rng(0).integers(0, 2**16, (5, 7, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 7, 5, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    (tmp_path / "deep.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )
    assert np.array_equal(read_image(str(tmp_path / "deep.png")), values >> 8)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "jpg"), ("L", "jpg"), ("CMYK", "jpg"), ("RGBA", "png"), ("P", "png"), ("1", "png")],
)
def test_every_8_bit_mode_becomes_rgb(tmp_path, mode, suffix):
    path = tmp_path / f"image.{suffix}"
    _picture(40, 30, mode).save(path)
    image = read_image(str(path))
    assert image.mode == "RGB" and image.size == (40, 30)
    assert np.array_equal(image, Image.open(path).convert("RGB"))


def test_an_unreadable_image_is_one_clear_line(tmp_path):
    names = ("text.jpg", "cut.jpg", "deep.png", "gone.jpg", "empty.jpg")
    text, cut, deep, gone, empty = (tmp_path / name for name in names)
    text.write_text("no image", encoding="utf-8")
    empty.touch()
    _picture(64, 64).save(cut)
    cut.write_bytes(cut.read_bytes()[:-600])
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(deep)
    for path, reason in (
        (text, "not an image that Pillow knows"),
        (cut, "truncated"),
        (deep, "not 8-bit"),
        (gone, "No such file"),
        (empty, "an empty file"),
    ):
        with pytest.raises(ValueError, match=reason) as caught:
            read_image(str(path))
        line = str(caught.value)
        assert line.startswith(f"cannot read the image {path}: ") and line.endswith("; mend or remove it")
        assert "\n" not in line


def test_what_decoders_remark_has_the_files_name(tmp_path, capfd):
    """Pillow warns without it, and libtiff writes to C's stderr."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "a\nb.jpg"
    Image.new("RGB", (9, 9)).save(turned, exif=exif.tobytes()[:-6])
    with pytest.warns(FileWarning, match=r"^.*/a\\nb.jpg: Corrupt EXIF data") as caught:
        read_image(str(turned))
    assert len(caught) == 1 and caught[0].message.path == str(turned)
    tiff = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tiff, compression="tiff_adobe_deflate")
    content = bytearray(tiff.read_bytes())
    content[300:420] = bytes(120)
    tiff.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=rf"{tiff}: decoder error -2"):
        read_image(str(tiff))
    assert capfd.readouterr() == ("", "")


def test_a_large_image_and_a_malformed_mpo_are_remarked_on_by_name(tmp_path, monkeypatch):
    large = tmp_path / "large.png"
    Image.new("RGB", (9, 9)).save(large)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 80)
        with pytest.warns(FileWarning, match=rf"^{large}: .*decompression bomb"):
            read_image(str(large))
    content = io.BytesIO()
    Image.new("RGB", (9, 9)).save(content, "jpeg")
    index = b"MPF\0no index"
    segment = b"\xff\xe2" + struct.pack(">H", len(index) + 2) + index
    mpo = tmp_path / "two.jpg"
    mpo.write_bytes(content.getvalue()[:2] + segment + content.getvalue()[2:])
    with pytest.warns(FileWarning, match=rf"^{mpo}: .*malformed MPO"):
        read_image(str(mpo))


def test_c_is_heard_with_the_files_name(tmp_path, capfd):
    said = []
    with c_heard(said):
        os.write(2, b"TIFFReadDirectory: Warning, Unknown field.\n\n")
    os.write(2, b"after")
    assert said == ["TIFFReadDirectory: Warning, Unknown field"]
    assert capfd.readouterr().err == "after"
