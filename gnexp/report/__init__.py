"""From finished runs to results/: tables, figures, an index and one page, each number computed from results/runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.config import RunConfig
from gnexp.config.experiment import Expansion
from gnexp.report.exhibits.cells import Findings, Measurements, measure
from gnexp.report.exhibits.collect import SCALES, copy_fresh, find_fresh, load_store, note_others
from gnexp.report.exhibits.exhibit import PICTURES, Exhibit
from gnexp.report.exhibits.parse import parse_exhibit
from gnexp.report.exhibits.stale import Stale, Struck, parse_stale, say_struck, strike
from gnexp.report.exhibits.tidy import Derived, table_csv
from gnexp.report.kinds.eval_sets import eval_sets_blocks, eval_sets_rows, split_sentence
from gnexp.report.kinds.gaps import gap_blocks, gap_rows, gap_sentences
from gnexp.report.kinds.pictures import (
    Shown,
    collect_pictures,
    is_shown,
    load_shown,
    picture_blocks,
)
from gnexp.report.kinds.plot_by_batch import plot_by_batch
from gnexp.report.kinds.plot_by_epoch import plot_by_epoch
from gnexp.report.kinds.plot_gap import plot_gap
from gnexp.report.kinds.plot_percentiles import plot_percentiles
from gnexp.report.kinds.plot_stats import plot_stats
from gnexp.report.render.blocks import Block, Heading, to_markdown
from gnexp.report.render.figures import digest_of, draw_png, draw_svg
from gnexp.report.render.gpu import GPU_TABLE, Measured, gpu_blocks, load_gpu
from gnexp.report.render.page import make_page, make_readme, without_drawings
from gnexp.report.render.plots import Plot
from gnexp.report.render.summary import Section, answer
from gnexp.report.render.tables import table_document
from gnexp.runs.result import Result
from gnexp.system.files import write_bytes

_PLOTS: dict[str, Callable[[Exhibit, Findings], Plot | None]] = {
    "batch_figure": plot_by_batch,
    "epoch_figure": plot_by_epoch,
    "percentile_figure": plot_percentiles,
    "eval_stats_figure": plot_stats,
    "gap_figure": plot_gap,
}
_BODIES: dict[str, Callable[[Exhibit, Findings], list[Block]]] = {
    "eval_stats_table": eval_sets_blocks,
    "gap_table": gap_blocks,
}
# What a table found, for the kinds whose findings are no contrasts.
_SENTENCES: dict[str, Callable[[Exhibit, Measurements], list[str]]] = {
    "eval_stats_table": lambda exhibit, found: [split_sentence(exhibit, found)],
    "gap_table": gap_sentences,
}
_DERIVED: dict[str, Callable[[Exhibit, Findings], list[Derived]]] = {
    "eval_stats_table": eval_sets_rows,
    "gap_table": gap_rows,
}
Expand = Callable[[str, str], Expansion]

__all__ = ["Rendered", "check", "render"]


@dataclass(frozen=True)
class Rendered:
    """What a report did: results copied, files written, what is worth a note, and the answer in one paragraph."""

    collected: tuple[Path, ...]
    paths: tuple[Path, ...]
    notes: tuple[str, ...]
    answer: str


def render(
    exhibits: Sequence[Mapping[str, Any]],
    expand: Expand,
    *,
    runs_dir: Path,
    results_dir: Path,
    overwrite: bool = False,
    is_whole: bool = True,
    places: Sequence[str] = (),
    stale: Sequence[Mapping[str, Any]] = (),
) -> Rendered:
    """Collects finished runs into results_dir/runs and writes every exhibit, README.md and report.html.

    is_whole=False is for a choice of the exhibits: README.md and report.html, which show all of them, then stay.
    places, such as runs_dir=demo/runs, go into the commands that fill what is missing. stale: the entries of
    conf/stale.yaml, whose numbers stay out.
    Everything is rendered in memory before the first file is replaced, and each file is replaced whole: an
    interrupted report leaves old files, new files, and nothing between.

    Raises:
        ValueError: an exhibit, or an entry of stale, that its schema refuses.
    """
    plan = _Plan(exhibits, expand, tuple(places), parse_stale(list(stale)))
    collection = find_fresh(runs_dir, results_dir / "runs", plan.wanted, overwrite=overwrite)
    collected = copy_fresh(collection, results_dir / "runs")
    pictures, kept = plan.collect_pictures(runs_dir, results_dir, overwrite=overwrite)
    found, notes = plan.load(results_dir)
    contents = plan.contents(found, notes, is_whole=is_whole)
    for name, content in contents.items():
        write_bytes(results_dir / name, content)
    for name in _stale(results_dir, plan, found, contents):
        (results_dir / name).unlink()
    return Rendered(
        collected=tuple(collected),
        paths=(*pictures, *(results_dir / name for name in contents)),
        notes=(
            *collection.notes,
            *note_others(runs_dir, plan.wanted, is_whole=is_whole),
            *kept,
            *notes,
            *say_struck(found.struck, found.results),
        ),
        answer=" ".join(answer(plan.sections(found))),
    )


def check(
    exhibits: Sequence[Mapping[str, Any]],
    expand: Expand,
    *,
    results_dir: Path,
    is_whole: bool = True,
    places: Sequence[str] = (),
    stale: Sequence[Mapping[str, Any]] = (),
) -> list[str]:
    """Says where results_dir is not what `render` would write now; empty where it is.

    Text is compared byte for byte; figures by the digest of the numbers they plot, since matplotlib's versions draw
    the same numbers in different bytes, and report.html by its text with the drawings taken out. Runs that wait to be
    collected are no problem: a sweep may be on its way.
    """
    plan = _Plan(exhibits, expand, tuple(places), parse_stale(list(stale)))
    found, notes = plan.load(results_dir)
    problems = list(notes)
    contents = plan.contents(found, notes, is_whole=is_whole)
    for name, content in contents.items():
        path = results_dir / name
        try:
            present = path.read_bytes()
        except OSError as error:
            problems.append(f"{path} cannot be read ({error.strerror}); run `gnexp report`")
            continue
        if _essence(name, present) != _essence(name, content):
            problems.append(f"{path} is not what the runs say; run `gnexp report` and look at the difference")
    problems += [
        f"{results_dir / name} is left over: nothing renders it"
        for name in _stale(results_dir, plan, found, contents)
    ]
    return problems


@dataclass(frozen=True)
class _Found:
    """What a report is rendered from."""

    results: Mapping[str, Result]  # by run_id
    struck: Sequence[Struck]  # what is left out of them
    pictures: Mapping[str, Mapping[str, Shown]]  # by exhibit and run_id
    gpus: tuple[Measured, ...]  # what `make gpu` has brought


class _Plan:
    """The exhibits in order, with every expansion they need made once."""

    def __init__(
        self,
        exhibits: Sequence[Mapping[str, Any]],
        expand: Expand,
        places: tuple[str, ...],
        stale: tuple[Stale, ...],
    ) -> None:
        self.exhibits: list[Exhibit] = sorted(
            (parse_exhibit(v) for v in exhibits), key=lambda e: (e.order, e.id)
        )
        self._places, self._stale = places, stale
        self._expansions: dict[tuple[str, str], Expansion] = {}
        for exhibit in self.exhibits:
            wanted = [(name, scale) for name in exhibit.experiments for scale in SCALES]
            # The paper has no control: at its scale the control's cells are the experiment's own.
            wanted += [(exhibit.control, "small")] if exhibit.control else []
            for name, scale in wanted:
                if (name, scale) not in self._expansions:
                    self._expansions[name, scale] = expand(name, scale)

    @property
    def wanted(self) -> dict[str, RunConfig]:
        """Every run that some exhibit names, by id."""
        cells = (cell for expansion in self._expansions.values() for cell in expansion.cells)
        return {run.run_id: run for cell in cells for run in cell.runs}

    def collect_pictures(
        self, runs_dir: Path, results_dir: Path, *, overwrite: bool
    ) -> tuple[list[Path], list[str]]:
        """Copies the pictures that the exhibits show; returns the files written, and notes."""
        written: list[Path] = []
        notes: list[str] = []
        for exhibit in self.exhibits:
            if exhibit.kind == PICTURES:
                small = self._measure(exhibit, exhibit.experiments, "small", {})
                paths, told = collect_pictures(exhibit, small, runs_dir, results_dir, overwrite=overwrite)
                written += paths
                notes += told
        return written, notes

    def load(self, results_dir: Path) -> tuple[_Found, list[str]]:
        """All that was collected, and notes on what of it cannot be used."""
        results, notes = load_store(results_dir / "runs", self.wanted)
        pictures = {}
        for exhibit in self.exhibits:
            if exhibit.kind == PICTURES:
                small = self._measure(exhibit, exhibit.experiments, "small", results)
                shown, told = load_shown(exhibit, small, results_dir)
                pictures[exhibit.id] = shown
                notes += told
        gpus, told = load_gpu(results_dir)
        found = _Found(*strike(results, self._stale), pictures=pictures, gpus=gpus)
        return found, [*notes, *told]

    def unshown_pictures(self, results_dir: Path, collected: _Found) -> list[str]:
        """Collected pictures that no exhibit shows any more."""
        return [
            f"figures/{exhibit.id}/{path.name}"
            for exhibit in self.exhibits
            if exhibit.kind == PICTURES
            for small in [self._measure(exhibit, exhibit.experiments, "small", {})]
            for path in sorted((results_dir / "figures" / exhibit.id).glob("*"))
            if not is_shown(exhibit, small, collected.pictures[exhibit.id], path.name)
        ]

    def sections(self, collected: _Found) -> list[Section]:
        """The exhibits with what was measured for each."""
        results, found = collected.results, []
        for exhibit in self.exhibits:
            small, paper = (self._measure(exhibit, exhibit.experiments, scale, results) for scale in SCALES)
            control = self._measure(exhibit, [exhibit.control], "small", results) if exhibit.control else None
            findings = Findings(small, paper, control)
            plot = _PLOTS[exhibit.kind](exhibit, findings) if exhibit.kind in _PLOTS else None
            body = _BODIES[exhibit.kind](exhibit, findings) if exhibit.kind in _BODIES else []
            if exhibit.kind == PICTURES:
                body = picture_blocks(exhibit, small, collected.pictures[exhibit.id])
            say = _SENTENCES.get(exhibit.kind)
            sentences = tuple(say(exhibit, small)) if say is not None and small.has_any else ()
            found.append(Section(exhibit, findings, plot, tuple(body), sentences))
        return found

    def _measure(
        self, exhibit: Exhibit, names: Sequence[str], scale: str, results: Mapping[str, Result]
    ) -> Measurements:
        expansions = [self._expansions[name, scale] for name in names]
        return measure(expansions, exhibit.axes, results, self._places, exhibit.shows)

    def contents(self, collected: _Found, notes: list[str], *, is_whole: bool) -> dict[str, bytes]:
        """Every file below results/ but what was collected: path -> content."""
        sections = self.sections(collected)
        contents: dict[str, bytes] = {}
        drawings: dict[str, tuple[str, str]] = {}
        for section in sections:
            exhibit, plot = section.exhibit, section.plot
            if section.body or exhibit.is_table:
                # A table's CSV has every set of statistics; beside pictures stand their own scores alone.
                shown = map(exhibit.key_of, exhibit.score.measures) if exhibit.kind == PICTURES else ()
                told = [*notes, *say_struck(collected.struck, section.run_ids, tuple(shown))]
                document = to_markdown(table_document(exhibit, section.found, told, section.body))
                folder = "figures" if exhibit.kind == PICTURES else "tables"
                contents[f"{folder}/{exhibit.id}.md"] = document.encode()
            if exhibit.is_table:
                derived = _DERIVED[exhibit.kind](exhibit, section.found) if exhibit.kind in _DERIVED else []
                contents[f"tables/{exhibit.id}.csv"] = table_csv(exhibit, section.found, derived).encode()
            elif plot is not None:
                wide = draw_svg(plot)
                contents[f"figures/{exhibit.id}.svg"] = wide.encode()
                if is_whole:
                    drawings[exhibit.id] = wide, draw_svg(plot, is_narrow=True)
                contents[f"figures/{exhibit.id}.png"] = draw_png(plot)
        if is_whole:
            notes = [*notes, *say_struck(collected.struck, collected.results)]
            gpu = gpu_blocks(collected.gpus)
            if collected.gpus:
                contents[GPU_TABLE] = to_markdown([Heading("On a GPU", 1), *gpu]).encode()
            contents["README.md"] = make_readme(sections, notes, gpu[:1]).encode()
            contents["report.html"] = make_page(sections, notes, drawings, gpu).encode()
        return contents


def _stale(results_dir: Path, plan: _Plan, found: _Found, contents: Mapping[str, bytes]) -> list[str]:
    """Files of these exhibits that an earlier report wrote and this one does not."""
    names = [
        f"{folder}/{exhibit.id}{ending}"
        for exhibit in plan.exhibits
        for folder, endings in (("tables", (".md", ".csv")), ("figures", (".svg", ".png", ".md")))
        for ending in endings
    ]
    if not found.gpus:
        names.append(GPU_TABLE)
    stale = [name for name in names if name not in contents and (results_dir / name).exists()]
    return stale + plan.unshown_pictures(results_dir, found)


def _essence(name: str, content: bytes) -> object:
    """What of a file must not change while the runs stay the same."""
    if name.endswith((".svg", ".png")):
        return digest_of(content)
    return without_drawings(content.decode(errors="replace")) if name.endswith(".html") else content
