"""The benchmark of transfer's steps times each cell in two trees, and says where a step's time goes."""

import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.benchmarks.benchmark import load_benchmark

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load_benchmark("bench_transfer")


def run(bench: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_transfer.py", *words])
    bench.main()


@pytest.mark.slow
def test_it_times_a_cell_in_two_trees(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = "Table 6, BN*", "Table 8, GN"
    run(bench, monkeypatch, "--rounds", "2", "--steps", "1", "--beside", str(ROOT), "--cells", *cells)
    lines = capsys.readouterr().out.splitlines()
    rows = json.loads(lines[-1])["rows"]
    assert [row["cell"] for row in rows] == list(cells) and len(lines) == 1 + len(rows) + 1
    for row in rows:
        assert 0 < row["here_ms_low"] <= row["here_ms"] <= row["here_ms_high"]
        assert 0 < row["ratio_low"] <= row["ratio"] <= row["ratio_high"]


@pytest.mark.slow
def test_it_says_where_a_step_goes(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(bench, monkeypatch, "--profile", "--steps", "1", "--cells", "Table 4, GN")
    (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert row["convolutions"] > 0.2 and row["RoIAlign"] > 0 and row["norms"] > 0
    assert sum(
        row[group] for group in ("convolutions", "RoIAlign", "norms", "NMS", "others")
    ) == pytest.approx(1, abs=0.01)


def test_an_operator_counts_once_and_the_rest_is_others() -> None:
    spent = {
        "aten::mkldnn_convolution": 3.0,
        "torchvision::nms": 1.0,
        "gnexp::group_norm": 2.0,
        "aten::add": 4.0,
    }
    shares = {"convolutions": 0.3, "RoIAlign": 0.0, "norms": 0.2, "NMS": 0.1, "others": 0.4}
    assert load_benchmark("transfer_steps").shares_of(spent) == shares


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rounds", "0"], "--rounds and --steps must be at least 1"),
        (["--beside", "{empty}"], "--beside must be a working tree of gnexp, got .*, which has no gnexp/"),
        (["--cells", "Table 9"], "invalid choice: 'Table 9'"),
    ],
)
def test_what_it_refuses(
    bench: ModuleType, words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with pytest.raises(SystemExit, match="2"):
        run(bench, monkeypatch, *(word.format(empty=tmp_path) for word in words))
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.slow
def test_another_run_is_not_compared(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gnexp", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / name, tmp_path / name)
    recipe = tmp_path / "conf" / "recipe" / "small_kinetics.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8") + "weight_decay: 0.0\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"Table 8, GN is the run \w+ here and \w+ in the other tree"):
        run(bench, monkeypatch, "--beside", str(tmp_path), "--cells", "Table 8, GN")


def test_a_tree_that_cannot_train_is_said(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gnexp").mkdir()
    (tmp_path / "gnexp" / "__init__.py").touch()
    monkeypatch.setattr(bench, "HERE", tmp_path)  # a tree without the modules that train
    with pytest.raises(SystemExit, match=r"Table 8, GN: the process that trains it ended with 1"):
        run(bench, monkeypatch, "--rounds", "1", "--steps", "1", "--cells", "Table 8, GN")
