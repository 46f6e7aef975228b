"""gnexp plan: the numbers of the paper's scale without its data, and nothing is started."""

import contextlib
import io
import re

import pytest

from gnexp.cli import main as cli
from gnexp.cli import plan as verb
from gnexp.compose.hardware import load_hardware
from gnexp.config.keys import conf_dir, group_options
from gnexp.launch.jobs import plan as job
from gnexp.launch.launch import Ended
from tests.composing import COMPOSER
from tests.experiments.runs import SMOKE
from tests.runs.test_throughput import recorded


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def here(monkeypatch):
    """The child's work done in this process, where torch is imported already."""

    def start_job(arguments, env, *, stdout):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = job.main(arguments[1:])
        return Ended(exit_code=code, out=said.getvalue().encode())

    monkeypatch.setattr(verb, "start_job", start_job)


def rows_of(out):
    """The cell -> the other columns, of the printed table."""
    lines = out.split("\n\n")[1].splitlines()
    return {row[0]: row[1:] for row in (re.split(r"  +", line) for line in lines)}


@pytest.mark.usefixtures("warm")
def test_the_papers_batch_sizes(tmp_path, capfd):
    words = [
        "plan",
        "experiment=batch_size",
        "scale=paper",
        "norm=bn,gn",
        "batch=32,2",
        "images_per_second=2500",
    ]
    assert cli.main(words) == 0
    out = capfd.readouterr().out
    rows = rows_of(out)
    assert rows.pop("cell") == [
        *("runs", "to do", "steps a run", "images a run", "parameters", "GMACs", "train FLOPs", "time a run"),
        "done after",
    ]
    steps = 1_281_167 // 256 * 100
    wide = ["1", "1", f"{steps:,}", f"{steps * 256:,}", "25,557,032", "4.09", "3.14e+18", "14.2 h"]
    assert rows["bn batch=32"][:-1] == rows["gn batch=32"][:-1] == wide
    assert [row[-1] for row in rows.values()] == ["42.7 h", "14.2 h", "56.9 h", "28.5 h"]
    first = "bn batch=2 after 14.2 h, gn batch=2 after 28.5 h, bn batch=32 after 42.7 h"
    assert f"done first, one run after another in the sweep's order: {first}\n" in out
    steps = 1_281_167 // 16 * 100
    assert rows["gn batch=2"][2:4] == [f"{steps:,}", f"{steps * 16:,}"]
    assert "4 runs: 0 done, 4 to do, to do: " in out and "56.9 h one after another" in out
    assert "Time: at 2500 images per second, as given." in out
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("here")
def test_what_is_done_and_how_fast_it_was(tmp_path, capfd):
    """SMOKE as a command line says it; its machine is another, so that there is no time."""
    recorded(tmp_path / "results", SMOKE, seconds=2.0)
    words = "plan experiment=null scale=smoke norm=bn seed=0,1 batch=4 workers=2 data.num_train=64 data.num_val=40"
    words += (
        " data.sha256=null recipe.epochs=3 recipe.base_lr=0.4 recipe.report_epochs=2 data.val_source=null"
    )
    assert cli.main(words.split()) == 0
    out = capfd.readouterr().out
    assert rows_of(out)["(one cell)"][:4] == ["2", "1", "24", "192"]
    assert "2 runs: 1 done, 1 to do" in out
    assert "No time: no like run on this machine" in out


@pytest.mark.usefixtures("here")
def test_a_folder_of_unknown_size_is_a_dash(capfd):
    words = [
        "plan",
        "experiment=null",
        "data=imagenet",
        "model=resnet50",
        "data.expected_train=null",
        "norm=none",
    ]
    assert cli.main(words) == 0
    out = capfd.readouterr().out
    assert rows_of(out)["(one cell)"][2:] == ["-", "-", "25,530,472", "4.09", "-", "-"]
    assert "give data.root=... or data.expected_train=N" in out


@pytest.mark.usefixtures("here")
def test_a_users_own_files_and_a_cell_that_cannot_be_built(tmp_path, capfd):
    (tmp_path / "own" / "norm").mkdir(parents=True)
    (tmp_path / "own" / "norm" / "gn2.yaml").write_text("kind: gn\nnum_groups: 2\n", encoding="utf-8")
    words = ["plan", "experiment=null", "norm=gn2", "--config-dir", "own"]
    assert cli.main(words) == 0
    assert "1 run: 0 done, 1 to do" in capfd.readouterr().out
    assert cli.main([*words, "norm.num_groups=4,3"]) == 2
    error = capfd.readouterr().err
    assert error.startswith("gnexp: error: norm.num_groups=3: layer bn1: groups must divide")
    assert error.count("\n") == 1


@pytest.mark.usefixtures("here")
def test_runs_that_others_start_from_have_rows_of_their_own(capfd):
    words = [
        "plan",
        "experiment=null",
        "scale=smoke",
        "norm=bn,gn",
        "batch=2",
        "seed=0,1",
        "init='cell: batch=4'",
    ]
    assert cli.main([*words, "images_per_second=100"]) == 0
    out = capfd.readouterr().out
    assert {cell: row[:2] for cell, row in rows_of(out).items()} == {
        "cell": ["runs", "to do"],
        **{key: ["2", "2"] for key in ("bn batch=4", "gn batch=4", "bn", "gn")},
    }
    assert "8 runs: 0 done, 8 to do" in out


@pytest.mark.usefixtures("here")
def test_longer_clips_cost_more(capfd):
    assert cli.main(["plan", "experiment=kinetics", "norm=gn", "batch=4"]) == 0
    rows = rows_of(capfd.readouterr().out)
    short, long = (float(rows[f"gn data.clip_length={length} batch=4"][5]) for length in (16, 32))
    assert long == pytest.approx(2 * short, rel=0.01)


def test_all_experiments_stand_under_each_other_and_are_added_up_once(capfd, monkeypatch):
    """The child's work is left out: what it costs to count every network of the paper's is minutes of tests."""
    counted = {"parameters": 10, "macs": 10**9, "num_train": 320}
    machine = {"device": "cpu", "processor": "invented"}
    asked = []

    def count(cells):
        asked.extend(cells)
        return {"machine": machine, "cells": [counted] * len(cells)}

    monkeypatch.setattr(verb, "_count", count)
    assert cli.main(["plan", "experiment=all", "scale=smoke", "images_per_second=2500"]) == 0
    out = capfd.readouterr().out
    parts = [line.partition(",")[0] for line in out.splitlines() if line.endswith(", scale smoke")]
    assert parts == group_options("experiment")
    totals = [int(number) for number in re.findall(r"^(\d+) runs?: 0 done", out, re.MULTILINE)]
    (total,) = re.findall(
        r"^all of them, each run once: (\d+) runs: 0 done, \1 to do, to do: ", out, re.MULTILINE
    )
    assert len(totals) == len(parts) and sum(totals) > int(total)
    assert int(total) == len({run.run_id for cell in asked for run in cell.runs})


@pytest.fixture
def counted(monkeypatch):
    """The child's work left out: ResNet-50's cost for every cell."""
    counted = {"parameters": 25_557_032, "macs": 4_089_000_000, "num_train": 1_281_167}
    machine = {"device": "cpu", "processor": "invented"}
    monkeypatch.setattr(verb, "_count", lambda cells: {"machine": machine, "cells": [counted] * len(cells)})


PAPER = ["plan", "experiment=batch_size", "scale=paper", "hardware=h100x8"]


@pytest.mark.usefixtures("counted")
def test_a_machine_of_conf_says_what_each_run_costs_and_that_it_is_modelled(capfd):
    assert cli.main([*PAPER, "price=24"]) == 0
    out = capfd.readouterr().out
    rows = rows_of(out)
    assert rows.pop("cell")[-4:] == ["time a run", "images/s", "cost a run", "done after"]
    hours = 8_007_200 * 16 / 640 / 3600
    assert rows["gn batch=2"][-4:-1] == [f"{hours:.1f} h", "640 modelled", f"{hours * 24:,.2f}"]
    total = sum(float(row[-2].replace(",", "")) for row in rows.values())
    assert float(re.search(r"one after another, cost ([\d,.]+)\n", out)[1].replace(",", "")) == pytest.approx(
        total, abs=0.1
    )
    assert "done first, one run after another in the sweep's order: bn batch=2 after 55.6 h, " in out
    assert "0 cells measured, 10 modelled." in out and "nobody has measured it" in out


@pytest.mark.usefixtures("counted")
def test_a_measured_row_that_a_person_adds_is_marked(tmp_path, capfd):
    folder = tmp_path / "own" / "hardware"
    folder.mkdir(parents=True)
    text = (conf_dir() / "hardware" / "h100x8.yaml").read_text(encoding="utf-8")
    row = "model: resnet50, gmacs: 4.09, precision: fp32, images_per_gpu: 2, images_per_second: 1000, basis: measured"
    text += f"  - {{{row}, norm: gn, source: results/bench}}\n"
    (folder / "h100x8.yaml").write_text(text, encoding="utf-8")
    assert cli.main([*PAPER, "--config-dir", "own"]) == 0
    out = capfd.readouterr().out
    rows = rows_of(out)
    assert [rows[f"{norm} batch=2"][-2] for norm in ("gn", "bn")] == ["1,000 measured", "640 modelled"]
    assert "1 cell measured, 9 modelled." in out
    (folder / "h100x8.yaml").write_text(text.replace(", source: results/bench", ""), encoding="utf-8")
    assert cli.main([*PAPER, "--config-dir", "own"]) == 2
    assert "h100x8.yaml: row 6: a measured row needs a source" in capfd.readouterr().err


def test_other_networks_are_scaled_by_their_operations():
    hardware = load_hardware("h100x8")
    run = COMPOSER.run(["scale=paper", "model=resnet101", "batch=2"])
    assert hardware.speed(run, int(8.18e9)) == (
        pytest.approx(1300 / 2),
        "modelled",
    )  # as much work as 4 images


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hardware=h100x9"], "unknown hardware 'h100x9': choose from a100x8, h100x8; did you mean"),
        (["hardware=h100x8", "images_per_second=9"], "both say how fast it goes"),
        (["price=free"], "price must be a positive number, got 'free'"),
    ],
)
def test_a_mistake_about_hardware_is_one_line(capfd, words, message):
    assert cli.main(["plan", "scale=paper", *words]) == 2
    error = capfd.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(("name", "flops"), [("h100x8", 67e12), ("a100x8", 19.5e12)])
def test_modelled_rows_are_what_their_file_says_they_are(name, flops):
    hardware = load_hardware(name)
    for row in hardware.rows:
        seconds = max(row.images_per_gpu * 6 * row.gmacs * 1e9 / (0.4 * flops), 0.025)
        assert row.basis == "modelled"
        modelled = hardware.gpus * row.images_per_gpu / seconds
        assert row.images_per_second == pytest.approx(modelled, rel=0.02)
