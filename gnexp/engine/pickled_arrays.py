"""Detectron's files of weights: pickles of numpy arrays, read without running anything, under torchvision's names.

Source: https://github.com/facebookresearch/Detectron/tree/main/projects/GN (the files), detectron/modeling/ResNet.py
(the names). Its GN networks have the stride in the 3x3 convolution (RESNETS.STRIDE_1X1: False), as torchvision's.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_CODES = re.compile(r"[fiu][1248]|b1")
_ENDS = {"w": "weight", "s": "weight", "b": "bias"}
_STEM = {"conv1": "conv1", "conv1_gn": "bn1", "res_conv1_bn": "bn1", "pred": "fc"}
_BLOCK = re.compile(r"res([2-5])_(\d+)_branch(1|2a|2b|2c)(_gn|_bn)?")
_PARTS = {  # of a block: convolution, norm
    "1": ("downsample.0", "downsample.1"),
    "2a": ("conv1", "bn1"),
    "2b": ("conv2", "bn2"),
    "2c": ("conv3", "bn3"),
}
_MOMENTUM = "_momentum"


def read_arrays(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a pickle of {name: array}, or of such under `blobs`, by torchvision's names.

    Names that torchvision's ResNets do not have stay as they are. The optimizer's momentum is left out.

    Raises:
        pickle.UnpicklingError: it holds something else than arrays and plain values, which could run code.
        ValueError: it is damaged, or no such pickle.
    """
    try:
        values = _Unpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # whatever damage makes of a parser
        if isinstance(error, pickle.UnpicklingError) and str(error).startswith("GLOBAL"):
            raise
        raise ValueError(f"damaged, or no pickle of arrays: {error}") from error
    blobs = values.get("blobs", values) if isinstance(values, dict) else None
    if not isinstance(blobs, dict):
        raise ValueError("no pickle of named arrays")
    arrays = {}
    for name, value in blobs.items():
        if isinstance(value, _Array) and not str(name).endswith(_MOMENTUM):
            arrays[torchvision_name(str(name))] = value.array()
    return arrays


def torchvision_name(blob: str) -> str:
    """conv1_gn_s -> bn1.weight, res2_0_branch2a_w -> layer1.0.conv1.weight, ..."""
    layer, _, end = blob.rpartition("_")
    if end not in _ENDS:
        return blob
    if layer in _STEM:
        return f"{_STEM[layer]}.{_ENDS[end]}"
    found = _BLOCK.fullmatch(layer)
    if found is None:
        return blob
    stage, index, branch, norm = found.groups()
    return f"layer{int(stage) - 1}.{index}.{_PARTS[branch][norm is not None]}.{_ENDS[end]}"


class _DType:
    """What a pickle says of a number's type; nothing of numpy's is called with it before it is checked."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        if not isinstance(self.code, str) or not _CODES.fullmatch(self.code) or self.order not in "<>|=":
            raise ValueError(f"an array must hold numbers, got {self.code!r}")
        return np.dtype(f"{self.order}{self.code}")


class _Array:
    """What a pickle says of an array."""

    def __init__(self, *_: object) -> None:
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def array(self) -> npt.NDArray[Any]:
        """The array itself, checked.

        Raises:
            ValueError: its bytes are not those of its shape and type.
        """
        try:
            _, shape, dtype, is_fortran, content = self._state
            numbers = dtype.dtype()
            raw = content.encode("latin1") if isinstance(content, str) else bytes(content)
            flat = np.frombuffer(raw, numbers).astype(numbers.newbyteorder("="))
            return flat.reshape(shape, order="F" if is_fortran else "C").copy()
        except (TypeError, AttributeError, UnicodeEncodeError) as error:
            raise ValueError(f"a damaged array ({error})") from error


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into a pickle for Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes in {encoding}")
    return text.encode("latin1")


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    """Knows numpy's arrays, in their place classes of this file, and nothing else that has a name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"GLOBAL {module}.{name}")
        return _ALLOWED[module, name]
