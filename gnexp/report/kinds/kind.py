"""What a kind of exhibit is: what it asks of its YAML and what is written for it. One file beside this one each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gnexp.config.fields import require
from gnexp.report.exhibits.cells import Findings, Measurements
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.tidy import Derived
from gnexp.report.render.blocks import Block
from gnexp.report.render.plots import Plot
from gnexp.runs.pictures import Pictures


@dataclass(frozen=True)
class Shown:
    """The pictures that an exhibit shows of a run."""

    about: Pictures
    contents: dict[str, bytes]  # name -> PNG


Kept = Mapping[str, Shown]  # by run_id


@dataclass(frozen=True)
class Keeper:
    """Takes files of runs that no number can render again, and keeps them in results/figures/<exhibit>/.

    Every function takes the exhibit and its cells at our scale first.
    """

    # Copies from the runs' directory to results/, (.., runs_dir, results_dir, overwrite): the files written, and notes.
    collect: Callable[[Exhibit, Measurements, Path, Path, bool], tuple[list[Path], list[str]]]
    # What was collected into results/, and notes on what of it cannot be used.
    load: Callable[[Exhibit, Measurements, Path], tuple[Kept, list[str]]]
    is_shown: Callable[
        [Exhibit, Measurements, Kept, str], bool
    ]  # whether a file of that folder is one to be kept
    commands: Callable[[Exhibit, Measurements, Kept], list[str]]  # what makes the missing ones


def _as_it_is(exhibit: Exhibit) -> Exhibit:
    return exhibit


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of exhibit. What it has no function for is not written."""

    needs: frozenset[str]  # keys that its YAML must have beside those that all kinds share
    score: str = "error"  # what its numbers are, by its name in conf/prose.yaml
    has_values: bool = False  # what it shows of the paper is its values
    # Raises ValueError where the keys do not go together; returns the exhibit with what follows from them.
    complete: Callable[[Exhibit], Exhibit] = _as_it_is
    # Of <folder>/<id>.md and of the page, below the title.
    document: Callable[[Exhibit, Findings, Kept], list[Block]] | None = None
    derive: Callable[[Exhibit, Findings], list[Derived]] | None = (
        None  # rows of <folder>/<id>.csv beside its cells'
    )
    plot: Callable[[Exhibit, Findings], Plot | None] | None = None  # of figures/<id>.svg and .png
    folder: str = "tables"  # of its document, below results/
    links: tuple[tuple[str, str], ...] = (
        ("table", ".md"),
        ("numbers", ".csv"),
    )  # in README: word, file's ending
    keeper: Keeper | None = None


def require_spanned(exhibit: Exhibit, *unnamed: str) -> None:
    """Checks that the keys of an exhibit name all of its axes, but for those that its kind spans unnamed.

    Raises:
        ValueError: an axis too many or too few.
    """
    keys = (exhibit.columns, exhibit.lines, exhibit.panels)
    named = {*filter(None, keys), *exhibit.reference, *unnamed}
    require(
        named == set(exhibit.axes),
        f"axes of this {exhibit.kind} must be {', '.join(sorted(named))}, which its keys span, got "
        f"{', '.join(exhibit.axes)}",
    )


def derive_nothing(exhibit: Exhibit, found: Findings) -> list[Derived]:
    """For a kind whose CSV has the rows of its cells alone."""
    return []
