"""What a report holds: exhibits, the expansions behind them, what was found for each, every file's content."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.config import RunConfig
from gnexp.config.experiment import Expansion
from gnexp.config.kinds import packages_of
from gnexp.report.exhibits.cells import Findings, Measurements, measure
from gnexp.report.exhibits.collect import SCALES, load_store
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.scoreboard import Scoreboard, parse_scoreboard
from gnexp.report.exhibits.stale import Stale, Struck, say_struck, strike
from gnexp.report.exhibits.tidy import table_csv
from gnexp.report.kinds import KINDS
from gnexp.report.kinds.kind import Keeper, Kept, Kind
from gnexp.report.parse import parse_exhibit
from gnexp.report.render.blocks import Heading, to_markdown
from gnexp.report.render.figures import Draw
from gnexp.report.render.gpu import GPU_TABLE, Measured, gpu_blocks, load_gpu
from gnexp.report.render.page import make_page
from gnexp.report.render.readme import make_readme
from gnexp.report.render.scoreboard import NUMBERS as SCORES
from gnexp.report.render.scoreboard import TABLE as SCOREBOARD
from gnexp.report.render.scoreboard import scoreboard_csv, scoreboard_document
from gnexp.report.render.section import Section
from gnexp.report.render.tables import exhibit_document
from gnexp.runs.result import Result

Expand = Callable[[str, str], Expansion]  # an experiment and a scale


_ENDINGS = {
    "tables": (".md", ".csv"),
    "figures": (".svg", ".png", ".md"),
}  # folder -> what a kind may write there


@dataclass(frozen=True)
class Collected:
    """What a report is rendered from."""

    results: Mapping[str, Result]  # by run_id
    struck: Sequence[Struck]  # what is left out of them
    kept: Mapping[str, Kept]  # by exhibit
    gpus: tuple[Measured, ...]  # what `make gpu` has brought
    twins: Mapping[str, str]  # exhibit -> its file, of twins that this report leaves as they are


class Plan:
    """The exhibits in order, with every expansion they need made once."""

    def __init__(
        self,
        exhibits: Sequence[Mapping[str, Any]],
        expand: Expand,
        places: tuple[str, ...],
        stale: tuple[Stale, ...],
        claims: Mapping[str, Mapping[str, Any]],
        scoreboard: Mapping[str, Any] | None,
    ) -> None:
        parsed = (parse_exhibit(values) for values in exhibits)
        self.exhibits: list[Exhibit] = sorted(parsed, key=lambda exhibit: (exhibit.order, exhibit.id))
        self._places, self._stale = places, stale
        self._claims = parse_scoreboard(claims, scoreboard, self.exhibits)
        self._expansions: dict[tuple[str, str], Expansion] = {}
        for exhibit in self.exhibits:
            wanted = [(name, scale) for name in exhibit.experiments for scale in (exhibit.scale, "paper")]
            # The paper has no control: at its scale the control's cells are the experiment's own.
            wanted += [(exhibit.control, exhibit.scale)] if exhibit.control else []
            for name, scale in wanted:
                if (name, scale) not in self._expansions:
                    self._expansions[name, scale] = expand(name, scale)
        # A claim is asked on data of every scale, whichever its exhibit shows.
        for name in dict.fromkeys(name for claim in self._claims.claims for name in claim.experiments):
            for scale in SCALES:
                if (name, scale) not in self._expansions:
                    self._expansions[name, scale] = expand(name, scale)

    @property
    def wanted(self) -> dict[str, RunConfig]:
        """Every run that some exhibit names, by id."""
        cells = (cell for expansion in self._expansions.values() for cell in expansion.cells)
        return {run.run_id: run for cell in cells for run in cell.runs}

    def collect_kept(
        self, runs_dir: Path, results_dir: Path, *, overwrite: bool
    ) -> tuple[list[Path], list[str]]:
        """Copies the files that exhibits keep, such as pictures; returns the files written, and notes."""
        written: list[Path] = []
        notes: list[str] = []
        for exhibit, keeper in self._keepers():
            small = self._measure(exhibit, exhibit.experiments, exhibit.scale, {})
            paths, told = keeper.collect(exhibit, small, runs_dir, results_dir, overwrite)
            written += paths
            notes += told
        return written, notes

    def load(self, results_dir: Path) -> tuple[Collected, list[str]]:
        """All that was collected, and notes on what of it cannot be used."""
        results, notes = load_store(results_dir / "runs", self.wanted)
        kept = {}
        for exhibit, keeper in self._keepers():
            small = self._measure(exhibit, exhibit.experiments, exhibit.scale, results)
            kept[exhibit.id], told = keeper.load(exhibit, small, results_dir)
            notes += told
        gpus, told = load_gpu(results_dir)
        twins = self._find_twins(results_dir)
        return Collected(*strike(results, self._stale), kept=kept, gpus=gpus, twins=twins), [*notes, *told]

    def sections(self, collected: Collected) -> list[Section]:
        """The exhibits with what was measured for each."""
        found = [self._section(exhibit, collected) for exhibit in self.exhibits]
        rendered = {section.exhibit.id: section.links[0][1] for section in found if section.links}
        twins = {**collected.twins, **rendered}
        return [dataclasses.replace(one, twin=twins.get(one.exhibit.twin, "")) for one in found]

    def score(self, collected: Collected) -> Scoreboard | None:
        """Every claim with its verdicts; None where there is no claim."""
        found = {
            (claim.exhibit.id, name): [
                self._measure(claim.exhibit, [name], scale, collected.results) for scale in SCALES
            ]
            for claim in self._claims.claims
            for name in claim.experiments
        }
        return self._claims.score(
            lambda claim: [part for name in claim.experiments for part in found[claim.exhibit.id, name]]
        )

    def contents(
        self, collected: Collected, notes: list[str], draw: Draw, *, is_whole: bool
    ) -> dict[str, bytes]:
        """Every file below results/ but what was collected: path -> content."""
        sections = self.sections(collected)
        contents: dict[str, bytes] = {}
        drawings: dict[str, tuple[str, str]] = {}
        for section in sections:
            contents |= _files(section, KINDS[section.exhibit.kind], notes, collected.struck)
            if section.plot is not None:
                drawn = draw(section.plot, has_narrow=is_whole)
                contents[f"figures/{section.exhibit.id}.svg"] = drawn.wide.encode()
                contents[f"figures/{section.exhibit.id}.png"] = drawn.png
                if is_whole:
                    drawings[section.exhibit.id] = drawn.wide, drawn.narrow
        if is_whole:
            notes = [*notes, *say_struck(collected.struck, collected.results)]
            gpu = gpu_blocks(collected.gpus)
            if collected.gpus:
                contents[GPU_TABLE] = to_markdown([Heading("On a GPU", 1), *gpu]).encode()
            board = self.score(collected)
            if board is not None:
                contents[SCOREBOARD] = to_markdown(scoreboard_document(board)).encode()
                contents[SCORES] = scoreboard_csv(board).encode()
            contents["README.md"] = make_readme(sections, notes, gpu[:1], board).encode()
            contents["report.html"] = make_page(sections, notes, drawings, gpu, board).encode()
        return contents

    def left_over(
        self, results_dir: Path, collected: Collected, contents: Mapping[str, bytes], *, is_whole: bool
    ) -> list[str]:
        """Files of these exhibits that an earlier report wrote, or kept, and this one does not."""
        names = [
            f"{folder}/{exhibit.id}{ending}"
            for exhibit in self.exhibits
            for folder, endings in _ENDINGS.items()
            for ending in endings
        ]
        if not collected.gpus:
            names.append(GPU_TABLE)
        if is_whole and not self._claims.claims:
            names += [SCOREBOARD, SCORES]
        left = [name for name in names if name not in contents and (results_dir / name).exists()]
        for exhibit, keeper in self._keepers():
            small = self._measure(exhibit, exhibit.experiments, exhibit.scale, {})
            left += [
                f"figures/{exhibit.id}/{path.name}"
                for path in sorted((results_dir / "figures" / exhibit.id).glob("*"))
                if not keeper.is_shown(exhibit, small, collected.kept[exhibit.id], path.name)
            ]
        return left

    def _find_twins(self, results_dir: Path) -> dict[str, str]:
        """The files that another report has rendered for the twins of these exhibits."""
        asked = {exhibit.id for exhibit in self.exhibits}
        paths = {
            exhibit.twin: f"{KINDS[exhibit.kind].folder}/{exhibit.twin}{KINDS[exhibit.kind].links[0][1]}"
            for exhibit in self.exhibits
            if exhibit.twin and exhibit.twin not in asked
        }
        return {twin: path for twin, path in paths.items() if (results_dir / path).exists()}

    def _keepers(self) -> list[tuple[Exhibit, Keeper]]:
        found = ((exhibit, KINDS[exhibit.kind].keeper) for exhibit in self.exhibits)
        return [(exhibit, keeper) for exhibit, keeper in found if keeper is not None]

    def _section(self, exhibit: Exhibit, collected: Collected) -> Section:
        kind, results = KINDS[exhibit.kind], collected.results
        small, paper = (
            self._measure(exhibit, exhibit.experiments, scale, results) for scale in (exhibit.scale, "paper")
        )
        control = (
            self._measure(exhibit, [exhibit.control], exhibit.scale, results) if exhibit.control else None
        )
        found, kept = Findings(small, paper, control), collected.kept.get(exhibit.id, {})
        plot = kind.plot(exhibit, found) if kind.plot is not None else None
        is_written = kind.document is not None or plot is not None
        return Section(
            exhibit,
            found,
            plot,
            body=tuple(kind.document(exhibit, found, kept)) if kind.document is not None else (),
            commands=tuple(kind.keeper.commands(exhibit, small, kept)) if kind.keeper is not None else (),
            links=tuple((word, f"{kind.folder}/{exhibit.id}{ending}") for word, ending in kind.links)
            if is_written
            else (),
        )

    def _measure(
        self, exhibit: Exhibit, names: Sequence[str], scale: str, results: Mapping[str, Result]
    ) -> Measurements:
        expansions = [_with_a_result(self._expansions[name, scale], results) for name in names]
        return measure(expansions, exhibit.axes, results, self._places, exhibit.shows)


def _with_a_result(expansion: Expansion, results: Mapping[str, Result]) -> Expansion:
    """Without the cells of an installed package's norm that have none: nobody asked for those."""
    cells = [
        cell
        for cell in expansion.cells
        if not packages_of(norm for run in cell.runs[:1] for norm in run.norms)
        or any(run.run_id in results for run in cell.runs)
    ]
    return dataclasses.replace(expansion, cells=tuple(cells))


def _files(section: Section, kind: Kind, notes: Sequence[str], struck: Sequence[Struck]) -> dict[str, bytes]:
    """An exhibit's document and its CSV, as far as its kind has them."""
    exhibit, contents = section.exhibit, {}
    path = f"{kind.folder}/{exhibit.id}"
    if kind.document is not None:
        # A CSV has every set of statistics; without one its own scores alone are shown.
        shown = () if kind.derive is not None else tuple(map(exhibit.key_of, exhibit.score.measures))
        told = [*notes, *say_struck(struck, section.run_ids, shown)]
        contents[f"{path}.md"] = to_markdown(exhibit_document(section, told)).encode()
    if kind.derive is not None:
        contents[f"{path}.csv"] = table_csv(
            exhibit, section.found, kind.derive(exhibit, section.found)
        ).encode()
    return contents
