"""Checkpoints: atomic, and never executed."""

import pickle
import resource
from pathlib import Path

import pytest
import torch

from gnexp.engine.checkpoint import load_checkpoint, save_checkpoint

CPU = torch.device("cpu")


class Planted:
    """Pickles into a call that leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"weights": torch.arange(5.0), "epoch": 3})
    found = load_checkpoint(path, CPU)
    assert found["epoch"] == 3 and torch.equal(found["weights"], torch.arange(5.0))
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_write_that_fails_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"epoch": 1})
    old = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(path, {"epoch": 2, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == old and [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "pickle", "format"])
def test_a_bad_file_is_named(tmp_path: Path, damage: str) -> None:
    path, planted = tmp_path / "checkpoint.pt", tmp_path / "planted"
    save_checkpoint(path, {"weights": torch.zeros(1000)})
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "text":
        path.write_text("not a checkpoint")
    elif damage == "pickle":
        path.write_bytes(pickle.dumps(Planted(planted), protocol=2))
    else:
        torch.save({"format": 2}, path)
    message = (
        "has format 2, this gnexp reads format 1" if damage == "format" else "cannot be read .*delete it"
    )
    with pytest.raises(ValueError, match=message) as caught:
        load_checkpoint(path, CPU)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not planted.exists()
