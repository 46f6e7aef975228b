"""Detectron's pickles: numpy arrays come out as they went in, and nothing else is let in."""

import os
import pickle

import numpy as np
import pytest

from gnexp.engine.pickled_arrays import read_arrays, torchvision_name

GENERATOR = np.random.default_rng(0)


def test_arrays_of_any_order_and_byte_order_come_back() -> None:
    arrays = {
        "conv1_w": GENERATOR.normal(size=(4, 3, 7, 7)).astype(np.float32),
        "pred_w": np.asfortranarray(GENERATOR.normal(size=(5, 8)).astype(np.float32)),
        "pred_b": GENERATOR.normal(size=5).astype(">f8"),
    }
    for protocol in (0, 1, 2):
        content = pickle.dumps({"blobs": arrays, "cfg": "MODEL: resnet"}, protocol)
        found = read_arrays(content)
        assert list(found) == ["conv1.weight", "fc.weight", "fc.bias"]
        for before, after in zip(arrays.values(), found.values(), strict=True):
            np.testing.assert_array_equal(after, before)


def test_strings_of_python_2_are_bytes() -> None:
    """As Python 2 wrote an array: its bytes as a str, protocol 2."""
    values = np.array([1.5, -2.25], dtype="<f4")
    raw = values.tobytes()
    content = (
        b"\x80\x02}U\x05blobs}U\x07conv1_b"
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U" + bytes([len(raw)]) + raw + b"tbss."
    )
    np.testing.assert_array_equal(read_arrays(content)["conv1.bias"], values)


class Hostile:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize(
    "hostile",
    [Hostile(os.system, "true"), Hostile(eval, "1"), Hostile(np.load, "x"), np.float64(1.0), {1}, len],
)
def test_everything_else_is_refused(hostile: object) -> None:
    content = pickle.dumps({"blobs": {"conv1_w": hostile}}, 2)
    with pytest.raises(pickle.UnpicklingError, match="GLOBAL"):
        read_arrays(content)


def test_an_array_of_objects_is_refused() -> None:
    content = pickle.dumps({"blobs": {"conv1_w": np.array(["a", None], dtype=object)}}, 2)
    with pytest.raises(ValueError, match="an array must hold numbers, got 'O8'"):
        read_arrays(content)


@pytest.mark.parametrize("content", [b"", b"\x80\x02}", b"nothing", pickle.dumps([1], 2)])
def test_what_is_no_such_pickle_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no pickle of"):
        read_arrays(content)


@pytest.mark.parametrize(
    ("blob", "name"),
    [
        ("conv1_w", "conv1.weight"),
        ("conv1_gn_s", "bn1.weight"),
        ("conv1_gn_b", "bn1.bias"),
        ("res2_0_branch2a_w", "layer1.0.conv1.weight"),
        ("res3_1_branch2b_gn_s", "layer2.1.bn2.weight"),
        ("res4_22_branch2c_gn_b", "layer3.22.bn3.bias"),
        ("res5_0_branch1_w", "layer4.0.downsample.0.weight"),
        ("res5_0_branch1_gn_s", "layer4.0.downsample.1.weight"),
        ("pred_b", "fc.bias"),
        ("fc1000_w", "fc1000_w"),
    ],
)
def test_names(blob: str, name: str) -> None:
    assert torchvision_name(blob) == name
