"""A YAML file of plain values."""

from pathlib import Path

import pytest

from gnexp.config.yaml_file import read_yaml


def test_values_are_yamls(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: [1, 1.0e-3, {b: null}]\n'1': é\n1: true\n", encoding="utf-8")
    assert read_yaml(path) == {"a": [1, 1e-3, {"b": None}], "1": "é", 1: True}
    path.write_text("# nothing yet\n", encoding="utf-8")
    assert read_yaml(path) is None
    path.write_text("- &a [1, 2]\n- *a\n- [&b {c: *a}, *b]\n", encoding="utf-8")
    assert read_yaml(path) == [[1, 2], [1, 2], [{"c": [1, 2]}, {"c": [1, 2]}]]
    path.write_text("&a [*a]\n", encoding="utf-8")
    assert read_yaml(path)[0][0] is not None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: 1\nb: {c: 2, c: 3}\n", "line 2: the key c stands twice"),
        (b"- a: 1\n  a: 2\n", "line 2: the key a stands twice"),
        (b"a: [\n", "line 2, column 1"),
        (b"a: \xff\n", "'utf-8' codec can't decode byte 0xff"),
        (b"a: !!python/name:os.system\n", "could not determine a constructor"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "x.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^cannot read {path}: ") as caught:
        read_yaml(path)
    assert reason in str(caught.value) and "\n" not in str(caught.value)
