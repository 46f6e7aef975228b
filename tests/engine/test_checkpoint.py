"""Checkpoints: atomic, never executed, and the one before the newest is there when the newest is damaged."""

import hashlib
import pickle
import resource
import shutil
from pathlib import Path

import pytest
import torch

from gnexp.engine.checkpoint import FORMAT, Checkpoints, load_tensors, save_tensors
from gnexp.runs.directory import RunDirectory

CPU = torch.device("cpu")


class Planted:
    """Pickles into a call that leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def put(path: Path, content: bytes) -> None:
    """Writes a file whose hash is right, so that nothing but its content can be wrong."""
    path.write_bytes(content)
    path.with_name(f"{path.name}.sha256").write_text(
        f"{hashlib.sha256(content).hexdigest()}  {path.name}\n", encoding="utf-8"
    )


def saved(folder: Path, *places: tuple[int, int]) -> Checkpoints:
    checkpoints = Checkpoints(RunDirectory(folder))
    for epoch, step in places:
        checkpoints.save({"place": [epoch, step], "weights": torch.zeros(1000)}, epoch=epoch, step=step)
    return checkpoints


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    save_tensors(path, {"weights": torch.arange(5.0), "epoch": 3})
    found = load_tensors(path, CPU)
    assert found["epoch"] == 3 and torch.equal(found["weights"], torch.arange(5.0))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (tmp_path / "weights.pt.sha256").read_text(
        encoding="utf-8"
    ) == f"{digest}  weights.pt\n"  # as sha256sum --check reads it
    assert sorted(file.name for file in tmp_path.iterdir()) == ["weights.pt", "weights.pt.sha256"]


def test_a_write_that_fails_keeps_the_old_checkpoints(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, (1, 0), (1, 5))
    before = {path: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoints.save({"weights": torch.zeros(100_000)}, epoch=2, step=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()} == before


def test_the_last_two_are_kept_in_the_order_of_time(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, (0, 90), (0, 100), (1, 0), (9, 5), (10, 0))
    assert [path.name for path in RunDirectory(tmp_path).all_checkpoints] == [
        "epoch00010-step000000000.pt", "epoch00009-step000000005.pt",
    ]  # fmt: skip
    assert len(list((tmp_path / "checkpoints").iterdir())) == 4
    values, problems = checkpoints.load(CPU)
    assert values is not None and values["place"] == [10, 0] and problems == []


def test_none_is_none(tmp_path: Path) -> None:
    assert Checkpoints(RunDirectory(tmp_path)).load(CPU) == (None, [])


@pytest.mark.parametrize(
    "damage", ["empty", "truncated", "flipped", "no hash", "empty hash", "pickle", "newer"]
)
def test_the_one_before_serves_when_the_newest_is_damaged(tmp_path: Path, damage: str) -> None:
    checkpoints = saved(tmp_path, (1, 0), (2, 0))
    path, planted = RunDirectory(tmp_path).all_checkpoints[0], tmp_path / "planted"
    content, beside = path.read_bytes(), path.with_name(f"{path.name}.sha256")
    reason = "its sha256 is not the one beside it"
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(content[:2000])
    elif damage == "flipped":  # one bit of a weight, which torch.load alone does not notice
        place = len(content) // 2
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif damage == "no hash":
        beside.unlink()
        reason = "No such file"
    elif damage == "empty hash":
        beside.write_text("", encoding="utf-8")
        reason = "cannot be read"
    elif damage == "pickle":
        put(path, pickle.dumps(Planted(planted), protocol=2))
        reason = "cannot be read"
    else:
        torch.save({"format": FORMAT + 1}, path)
        put(path, path.read_bytes())
        reason = f"has format {FORMAT + 1}, this gnexp reads formats up to {FORMAT}"
    values, problems = checkpoints.load(CPU)
    assert values is not None and values["place"] == [1, 0]
    assert (
        len(problems) == 1 and str(path) in problems[0] and reason in problems[0] and "\n" not in problems[0]
    )
    assert not planted.exists()
    assert path.with_name(f"{path.name}.damaged").exists()  # put aside, for whoever wants to look
    assert checkpoints.load(CPU)[1] == []


def test_all_damaged_is_an_error_that_lists_them(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, (1, 0), (2, 0))
    for path in RunDirectory(tmp_path).all_checkpoints:
        path.write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"no checkpoint is whole: .*epoch00002.*; .*epoch00001.*; bring one back"
    ):
        checkpoints.load(CPU)
    assert len(RunDirectory(tmp_path).all_checkpoints) == 2  # left where they are


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    saved(tmp_path, (1, 0))
    leftover = tmp_path / "checkpoints" / ".epoch00002-step000000000.pt.123.tmp"
    shutil.copy(next(tmp_path.glob("*/*.pt")), leftover)
    Checkpoints(RunDirectory(tmp_path))
    assert not leftover.exists() and len(list((tmp_path / "checkpoints").iterdir())) == 2
