"""Readers of archives and of MATLAB's files: whatever byte is wrong, what comes is a line or the right content."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from gnexp.data.prepare.mat import read_mat
from gnexp.data.prepare.members import list_zip, opened_tar, opened_zip, read_tar
from tests.data.published import WNIDS, meta_mat, tar_of, zip_of

CONTENTS = {"a/one.jpg": b"1" * 700, "a/two.jpg": b"2" * 300, "a/three.json": b"3" * 900}


def read(path: Path) -> dict[str, bytes]:
    if path.suffix == ".zip":
        with opened_zip(path) as file:
            return {member.name: b"".join(member.read(256)) for member in list_zip(file, path.name)}
    with opened_tar(path) as tar:
        return {member.name: b"".join(member.read(256)) for member in read_tar(tar, path.name)}


ARCHIVES = {
    "x.tar": tar_of(CONTENTS),
    "long.tar": tar_of({f"{'b' * 120}/{name}": content for name, content in CONTENTS.items()}),
    "x.tar.gz": gzip.compress(tar_of(CONTENTS)),
    "x.zip": zip_of(CONTENTS),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_any_byte_may_be_wrong(tmp_path: Path, name: str) -> None:
    content, path = ARCHIVES[name], tmp_path / name
    path.write_bytes(content)
    assert [found.rpartition("/")[2] for found in read(path)] == ["one.jpg", "two.jpg", "three.json"]
    rng = np.random.default_rng(0)
    said = []
    places = rng.choice(min(len(content), 6000), min(len(content), 400), replace=False)
    for at in places:
        broken = bytearray(content)
        broken[at] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            read(path)
        except ValueError as error:
            said.append(str(error))
    assert len(said) > 20
    assert all(name in line and "\n" not in line for line in said)


@pytest.mark.parametrize("name", ARCHIVES)
def test_any_length_may_be_cut_off(tmp_path: Path, name: str) -> None:
    content, path = ARCHIVES[name], tmp_path / name
    # Of a plain tar, which GNU's tar fills up with zeros, the last of these can go.
    end = len(content.rstrip(b"\0")) if name.endswith("tar") else len(content) - 1
    for size in np.linspace(0, end, 60, dtype=int):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=f"{name}.* is damaged"):
            read(path)


@pytest.mark.parametrize("do_compression", [True, False])
def test_any_byte_of_a_mat_may_be_wrong(do_compression: bool) -> None:
    content = meta_mat(do_compression=do_compression)
    assert [synset["WNID"] for synset in read_mat(content)["synsets"]] == [*WNIDS, "n02512053"]
    rng = np.random.default_rng(0)
    for at in rng.choice(np.arange(126, len(content)), 500):
        broken = bytearray(content)
        broken[at] ^= int(rng.integers(1, 256))
        try:
            read_mat(bytes(broken))
        except ValueError:
            continue
    for size in range(0, len(content), 7):
        try:
            read_mat(content[:size])
        except ValueError:
            continue


def test_a_mat_is_read_as_it_was_written() -> None:
    (first, second, fish) = read_mat(meta_mat())["synsets"]
    assert (first["words"], second["gloss"]) == ("fish 1, Ḟish", "a fish")
    assert [int(row["ILSVRC2012_ID"][0]) for row in (first, second, fish)] == [1, 2, 1001]
    assert fish["children"].tolist() == [1, 2] and int(fish["num_children"][0]) == 2


def test_a_mat_of_the_other_byte_order() -> None:
    """As a SPARC would have written it: x = 7."""

    def element(kind: int, data: bytes) -> bytes:
        return kind.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data + bytes(-len(data) % 8)

    parts = [
        element(6, (6).to_bytes(4, "big") + bytes(4)),  # the class: double
        element(5, (1).to_bytes(4, "big") * 2),
        element(1, b"x"),
        element(9, np.array([7.0], ">f8").tobytes()),
    ]
    header = io.BytesIO(bytes(124) + b"\x01\x00MI")
    assert read_mat(header.getvalue() + element(14, b"".join(parts)))["x"].tolist() == [7.0]
