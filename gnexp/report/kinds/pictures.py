"""Pictures of what finished runs find: collected from their directories, checked by digest, shown side by side.

They cannot be rendered again without the runs' weights, so they are kept in results/figures/<exhibit>/ as results/runs
keeps results: unchanged, and never replaced unless told to.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gnexp.config import RunConfig
from gnexp.report.exhibits.cells import Findings, Measured, Measurements
from gnexp.report.exhibits.collect import count, run_directories
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.words import DASH, join
from gnexp.report.kinds.kind import Keeper, Kept, Kind, Shown
from gnexp.report.render.blocks import Block, Commands, Gallery, Items, Picture, Text
from gnexp.runs.pictures import load_pictures
from gnexp.runs.result import DIVERGED
from gnexp.system.files import write_bytes


@dataclass(frozen=True)
class _Sentences:
    chosen: Annotated[str, "number", "names", "score"]
    alt: Annotated[str, "number", "cell"]


_PROSE = Prose("pictures", _Sentences)


def _shown_runs(exhibit: Exhibit, small: Measurements) -> list[RunConfig]:
    """The first seed's run of each of its cells."""
    return [small.cells[key].cell.runs[0] for key in exhibit.cells]


def _collect(
    exhibit: Exhibit, small: Measurements, runs_dir: Path, results_dir: Path, overwrite: bool
) -> tuple[list[Path], list[str]]:
    """Copies the pictures of runs into results_dir/figures/<exhibit>, a run's all or none.

    Returns:
        The files written, and notes on what cannot be taken or was kept.
    """
    written: list[Path] = []
    notes: list[str] = []
    folder = results_dir / "figures" / exhibit.id
    runs = {run.run_id: run for run in _shown_runs(exhibit, small)}
    directories = run_directories(runs_dir, runs).items()
    for run_id, source in ((i, d.pictures) for i, found in directories for d in found):
        if not source.exists():
            continue
        try:
            shown = _read(exhibit, run_id, source, results_dir)
        except (ValueError, OSError) as error:
            notes.append(f"not collected: {error}")
            continue
        target = folder / f"{run_id}.json"
        if target.exists() and not overwrite:
            if target.read_bytes() != source.read_bytes():
                notes.append(
                    f"{folder} keeps other pictures than {source.parent} has (overwrite=true replaces them)"
                )
            continue
        target.unlink(missing_ok=True)  # written last: it says that all of them are there
        contents = {folder / f"{run_id}-{name}": content for name, content in shown.contents.items()}
        for path, content in {**contents, target: source.read_bytes()}.items():
            write_bytes(path, content)
            written.append(path)
    return written, notes


def _load(exhibit: Exhibit, small: Measurements, results_dir: Path) -> tuple[Kept, list[str]]:
    """The collected pictures by run_id; those that are torn or not what was collected become a note."""
    shown: dict[str, Shown] = {}
    notes: list[str] = []
    folder = results_dir / "figures" / exhibit.id
    for run in _shown_runs(exhibit, small):
        about = folder / f"{run.run_id}.json"
        if about.exists():
            try:
                shown[run.run_id] = _read(exhibit, run.run_id, about, results_dir, f"{run.run_id}-")
            except (ValueError, OSError) as error:
                # Relative to results/, so that the report's text is the same in any folder.
                place = f"figures/{folder.name}"
                notes.append(
                    f"left out: {str(error).replace(str(folder), place)}; collect it with overwrite=true"
                )
    return shown, notes


def _is_shown(exhibit: Exhibit, small: Measurements, shown: Kept, name: str) -> bool:
    """Whether a file of figures/<exhibit> is one that it shows, or would if it were whole."""
    run_ids = {run.run_id for run in _shown_runs(exhibit, small)}
    run_id, _, picture = name.removesuffix(".json").partition("-")
    return run_id in run_ids and (not picture or run_id not in shown or picture in shown[run_id].contents)


def _document(exhibit: Exhibit, found: Findings, kept: Kept) -> list[Block]:
    """The pictures, a row an image and a column a cell; where they are from, and what makes the missing ones."""
    cells = {exhibit.title_of(key): found.ours.cells[key] for key in exhibit.cells}
    own = [kept.get(cell.cell.runs[0].run_id) for cell in cells.values()]
    names = dict.fromkeys(name for one in own if one is not None for name in one.contents)
    blocks: list[Block] = []
    if names:
        numbers = {name: str(int(Path(name).stem)) for name in names}
        rows = tuple(
            (
                numbers[name],
                tuple(_picture(exhibit, one, name, title) for title, one in zip(cells, own, strict=True)),
            )
            for name in names
        )
        score = next(one.about.least_score for one in own if one is not None)
        blocks += [
            Gallery("image", tuple(cells), rows),
            Text(
                _PROSE.text.chosen.format(
                    number=exhibit.num_images, names=join(list(numbers.values())), score=f"{score:g}"
                )
            ),
        ]
    blocks.append(
        Items(
            tuple(_origin(exhibit, title, cells[title], one) for title, one in zip(cells, own, strict=True))
        )
    )
    if commands := _commands(exhibit, found.ours, kept):
        blocks.append(Commands("To fill in what is missing, and then gnexp report:", tuple(commands)))
    return blocks


def _read(exhibit: Exhibit, run_id: str, about: Path, results_dir: Path, prefix: str = "") -> Shown:
    """The first pictures that lie beside `about`, each compared with its digest.

    The same run, run again, has other weights, and its pictures would stand beside a score that is not theirs.

    Raises:
        ValueError: they are another run's or another training's than the recorded one, drawn otherwise than the exhibit
            wants, too few, or other bytes.
    """
    found = load_pictures(about)
    again = f"run gnexp eval run={run_id} {_settings(exhibit)} again"
    if found.run_id != run_id or found.eval_stats != exhibit.eval_stats:
        raise ValueError(
            f"{about} is of run {found.run_id} under {found.eval_stats}, wanted are {run_id} and "
            f"{exhibit.eval_stats}; {again}"
        )
    recorded = results_dir / "runs" / f"{run_id}.json"
    if not recorded.exists() or found.result != hashlib.sha256(recorded.read_bytes()).hexdigest():
        raise ValueError(f"{about} is of another training than the recorded result of {run_id}; {again}")
    names = list(found.sha256)[: exhibit.num_images]
    if len(names) < exhibit.num_images:
        raise ValueError(
            f"{about} has {count(len(names), 'picture')}, {exhibit.id} shows {exhibit.num_images}; {again}"
        )
    contents: dict[str, bytes] = {}
    for name in names:
        path = about.parent / f"{prefix}{name}"
        try:
            contents[name] = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror}); {again}") from None
        if hashlib.sha256(contents[name]).hexdigest() != found.sha256[name]:
            raise ValueError(f"{path} is not what was drawn; {again}")
    return Shown(found, contents)


def _picture(exhibit: Exhibit, shown: Shown | None, name: str, title: str) -> Picture | None:
    if shown is None or name not in shown.contents:
        return None
    alt = _PROSE.text.alt.format(number=int(Path(name).stem), cell=title)
    return Picture(alt, f"{exhibit.id}/{shown.about.run_id}-{name}", shown.contents[name])


def _origin(exhibit: Exhibit, title: str, cell: Measured, shown: Shown | None) -> str:
    """One line: which run, its score, the commits that trained it and drew it."""
    run = cell.cell.runs[0]
    if _status(cell) == DIVERGED:
        return f"{title}: run `{run.run_id}` (seed {run.seed}) diverged, so there is nothing to draw."
    words = f"{title}: run `{run.run_id}` (seed {run.seed}), {_score(exhibit, cell)}, "
    if shown is None:
        return f"{words}pictures {DASH}"
    result = cell.results.get(run.seed)
    trained = dict.fromkeys(_commit(entry) for entry in (result.env if result else []))
    drawn = _commit({"commit": shown.about.commit, "dirty": shown.about.dirty})
    return (
        f"{words}trained at commit {join(list(trained)) if trained else 'unknown'}, drawn at {drawn} under the "
        f"`{shown.about.eval_stats}` statistics."
    )


def _score(exhibit: Exhibit, cell: Measured) -> str:
    values = cell.values(exhibit.metric)
    seed = cell.cell.runs[0].seed
    title = exhibit.score.measures[0].title
    return f"{title} {values[seed]:.1f} over all of val" if seed in values else f"{title} {DASH}"


def _status(cell: Measured) -> str | None:
    result = cell.results.get(cell.cell.runs[0].seed)
    return None if result is None else result.status


def _commit(entry: Mapping[str, object]) -> str:
    return f"`{str(entry.get('commit') or 'unknown')[:12]}`{' with uncommitted changes' if entry.get('dirty') else ''}"


def _settings(exhibit: Exhibit) -> str:
    stats = "" if exhibit.eval_stats == "worker0" else f" eval_stats={exhibit.eval_stats}"
    return f"save_images={exhibit.num_images}{stats}"


def _commands(exhibit: Exhibit, small: Measurements, kept: Kept) -> list[str]:
    """What makes each run without pictures, which skips what is done, and what draws."""
    cells = [small.cells[key] for key in exhibit.cells]
    missing = [c for c in cells if c.cell.runs[0].run_id not in kept and _status(c) != DIVERGED]
    own = [place for place in small.places if place.startswith("runs_dir=")]
    commands = []
    for cell in missing:
        run = cell.cell.runs[0]
        drawing = ["gnexp", "eval", f"run={run.run_id}", *_settings(exhibit).split(), *own]
        commands += [cell.cell.command(run.seed, *own), shlex.join(drawing)]
    return commands


PICTURES = Kind(
    needs=frozenset({"cells", "num_images"}),
    score="ap",
    document=_document,
    folder="figures",
    links=(("pictures", ".md"),),
    keeper=Keeper(_collect, _load, _is_shown, _commands),
)
