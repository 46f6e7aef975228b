"""MATLAB's files of version 5, as far as ImageNet's devkit needs them: structs, cells, text and numbers."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

_HEADER = 128  # bytes
_MATRIX, _COMPRESSED = 14, 15  # types of an element
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)  # classes of a matrix
_MOST = 1 << 28  # bytes that an element may become


def read_mat(content: bytes) -> dict[str, Any]:
    """The variables of a file by name.

    Args:
        content: of the file.

    Returns:
        A struct as a list of dicts, a cell as a list, text as str, numbers as an array in one row,
        anything else as None.

    Raises:
        ValueError: it is no such file, or damaged.

    Source: MATLAB, "MAT-File Format", level 5.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise ValueError("no file of MATLAB's version 5")
    found, at = {}, _HEADER
    try:
        while at < len(content):
            kind, data, at = _element(content, at, order)
            if kind == _COMPRESSED:
                kind, data, _ = _element(_inflate(data), 0, order)
            if kind == _MATRIX:
                name, value = _matrix(data, order)
                found[name] = value
    except (struct.error, zlib.error, LookupError, UnicodeError, RecursionError, TypeError) as error:
        raise ValueError(f"it breaks off or is damaged ({error})") from error
    return found


def _inflate(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(data, _MOST)
    if not stream.eof:
        raise ValueError("it breaks off or is damaged (an element that does not end)")
    return content


def _element(data: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """Type and content of the element at `at`, and where the next one is."""
    (word,) = struct.unpack_from(f"{order}I", data, at)
    if word >> 16:  # up to four bytes beside their own type and size
        kind, size, start, end = word & 0xFFFF, word >> 16, at + 4, at + 8
    else:
        (size,) = struct.unpack_from(f"{order}I", data, at + 4)
        kind, start = word, at + 8
        end = start + size if kind == _COMPRESSED else start + -(-size // 8) * 8
    content = data[start : start + size]
    if len(content) < size:
        raise struct.error("an element that is cut off")
    return kind, content, end


def _matrix(data: bytes, order: str) -> tuple[str, Any]:
    if not data:  # [] in a field
        return "", None
    _, flags, at = _element(data, 0, order)
    matrix_class = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    _, raw, at = _element(data, at, order)
    num = int(np.prod(np.frombuffer(raw, f"{order}i4"), dtype=np.int64))
    _, name, at = _element(data, at, order)
    value: Any = None
    if matrix_class == _STRUCT:
        value = _struct(data, at, order, num)
    elif matrix_class == _CELL:
        value, _ = _matrices(data, at, order, num)
    elif matrix_class == _CHAR and num:
        kind, raw, _ = _element(data, at, order)
        encoding = _TEXTS[kind]
        value = raw.decode(encoding + ({"<": "-le", ">": "-be"}[order] if kind in (4, 17, 18) else ""))
    elif matrix_class == _CHAR:
        value = ""
    elif matrix_class in _NUMERIC:
        kind, raw, _ = _element(data, at, order)
        value = np.frombuffer(raw, f"{order}{_NUMBERS[kind]}")
    return name.decode("ascii"), value


def _struct(data: bytes, at: int, order: str, num: int) -> list[dict[str, Any]]:
    _, raw, at = _element(data, at, order)
    (width,) = struct.unpack(f"{order}i", raw)
    _, raw, at = _element(data, at, order)
    names = [raw[i : i + width].rstrip(b"\0").decode("ascii") for i in range(0, len(raw), width)]
    values, _ = _matrices(data, at, order, num * len(names))
    return [
        dict(zip(names, values[i : i + len(names)], strict=True)) for i in range(0, len(values), len(names))
    ]


def _matrices(data: bytes, at: int, order: str, num: int) -> tuple[list[Any], int]:
    values = []
    for _ in range(num):
        _, content, at = _element(data, at, order)
        values.append(_matrix(content, order)[1])
    return values, at
