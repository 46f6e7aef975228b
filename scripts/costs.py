"""What each experiment costs, for docs/reproduce.md: measured at our scales, modelled at the paper's.

    python scripts/costs.py            prints the table
    python scripts/costs.py --write    puts it into docs/reproduce.md

Small and demo: the seconds that training and evaluation of the runs in results/runs took, on whatever hardware they
name, one thread each. Each run counts as the quickest seed of its cell: one that was paused, or shared its core,
records too many seconds. A cell with one seed has what that one took. Paper: images, and operations by the model of
gnexp plan: three forward passes an image, a multiply-add counted as two, without evaluation. A run that several
experiments share counts in each.
"""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path

from gnexp.compose.composer import expand
from gnexp.compose.exhibits import load_exhibits
from gnexp.config import RunConfig, from_dict, to_dict
from gnexp.config.experiment import Expansion
from gnexp.config.keys import group_options
from gnexp.data.sizes import num_train_images
from gnexp.engine.cost import count_cost
from gnexp.system.files import write_text

ROOT = Path(__file__).resolve().parent.parent
PAGE, RUNS = ROOT / "docs" / "reproduce.md", ROOT / "results" / "runs"
BEGIN, END = "<!-- scripts/costs.py -->", "<!-- end -->"
HEADER = (
    "experiment",
    "small scale: runs",
    "hours of one core",
    "longest run",
    "demo scale: runs",
    "hours of one core",
    "longest run",
    "paper scale: runs",
    "images",
    "FLOPs",
)


def main() -> None:
    """Prints the table, or writes it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/reproduce.md")
    if parser.parse_args().write:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
        write_text(PAGE, f"{before}\n{make_table()}\n{after}")
    else:
        print(make_table())


def make_table() -> str:
    """The table in Markdown, a row an experiment, in the order of the exhibits."""
    rows = [HEADER, ("---", *["---:"] * (len(HEADER) - 1)), *map(_row, experiments())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def experiments() -> list[str]:
    """Every experiment, those of the first exhibits first."""
    exhibits = sorted(load_exhibits(), key=lambda exhibit: exhibit["order"])
    named = [
        name for exhibit in exhibits for name in (*exhibit["experiments"], exhibit.get("control")) if name
    ]
    return list(dict.fromkeys([*named, *group_options("experiment")]))


def _row(experiment: str) -> tuple[str, ...]:
    paper = _runs(expand(experiment, "paper"))
    images = [_images(run) for run in paper]
    flops = sum(
        6.0 * _macs(json.dumps(_shape(run))) * number for run, number in zip(paper, images, strict=True)
    )
    return (
        f"`{experiment}`",
        *(word for scale in ("small", "demo") for word in _measured(expand(experiment, scale))),
        str(len(paper)),
        f"{sum(images):.2e}",
        f"{flops:.1e}",
    )


def _measured(expansion: Expansion) -> tuple[str, str, str]:
    """How many of its runs there are, their hours and those of the longest, each as its cell's quickest seed."""
    num = len(_runs(expansion))
    seconds: dict[str, float] = {}
    for cell in expansion.cells:
        found = {run.run_id: path for run in cell.runs if (path := RUNS / f"{run.run_id}.json").exists()}
        if found:
            quickest = min(json.loads(p.read_text(encoding="utf-8"))["seconds"] for p in found.values())
            seconds |= dict.fromkeys(found, quickest)
    if not seconds:
        return f"0 of {num}", "-", "-"
    return (
        str(num) if len(seconds) == num else f"{len(seconds)} of {num}",
        f"{sum(seconds.values()) / 3600:.1f}",
        f"{max(seconds.values()):.0f} s",
    )


def _runs(expansion: Expansion) -> list[RunConfig]:
    return list({run.run_id: run for cell in expansion.cells for run in cell.runs}.values())


def _images(run: RunConfig) -> int:
    size = num_train_images(run.data)
    assert size is not None, f"the paper's data set {run.data.name} says how many images it has"
    return (run.recipe.epoch_steps or size // run.total_batch) * run.total_batch * run.recipe.epochs


def _shape(run: RunConfig) -> dict[str, object]:
    """What its operations depend on, and no more, so that each network is counted once."""
    config = to_dict(run)
    return config | {
        "seed": 0,
        "batch": 1,
        "recipe": to_dict(RunConfig())["recipe"],
        "init": None,
        "init_path": None,
    }


@functools.cache
def _macs(shape: str) -> int:
    return count_cost(from_dict(json.loads(shape))).macs


if __name__ == "__main__":
    main()
