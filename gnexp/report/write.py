"""Renders results/ from finished runs, and checks that it is what they say."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.report.exhibits.collect import copy_fresh, find_fresh, note_others
from gnexp.report.exhibits.stale import parse_stale, say_struck
from gnexp.report.plan import Collected, Expand, Plan
from gnexp.report.render.blocks import to_markdown
from gnexp.report.render.drawings import without_drawings
from gnexp.report.render.figures import digest_of, draw, draw_nothing
from gnexp.report.render.marks import README, mark
from gnexp.report.render.scoreboard import TABLE, front_blocks
from gnexp.report.render.summary import answer
from gnexp.system.files import write_bytes


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
    claims: Mapping[str, Mapping[str, Any]] | None = None,
    scoreboard: Mapping[str, Any] | None = None,
) -> Rendered:
    """Collects finished runs into results_dir/runs and writes every exhibit, README.md and report.html.

    is_whole=False is for a choice of the exhibits: README.md and report.html, which show all of them, then stay.
    places, such as runs_dir=demo/runs, go into the commands that fill what is missing. stale: the entries of
    conf/stale.yaml, whose numbers stay out. claims and scoreboard: the files of conf/claim by name, and
    conf/scoreboard.yaml; the README.md beside results_dir has the scoreboard between its marks, where it has them.
    Everything is rendered in memory before the first file is replaced, and each file is replaced whole: an
    interrupted report leaves old files, new files, and nothing between.

    Raises:
        ValueError: an exhibit, or an entry of stale, that its schema refuses.
    """
    plan = Plan(exhibits, expand, tuple(places), parse_stale(list(stale)), claims or {}, scoreboard)
    collection = find_fresh(runs_dir, results_dir / "runs", plan.wanted, overwrite=overwrite)
    collected = copy_fresh(collection, results_dir / "runs")
    kept, told = plan.collect_kept(runs_dir, results_dir, overwrite=overwrite)
    found, notes = plan.load(results_dir)
    contents = plan.contents(found, notes, draw, is_whole=is_whole)
    contents |= _front_page(plan, found, results_dir) if is_whole else {}
    for name, content in contents.items():
        write_bytes(results_dir / name, content)
    for name in plan.left_over(results_dir, found, contents, is_whole=is_whole):
        (results_dir / name).unlink()
    return Rendered(
        collected=tuple(collected),
        paths=(*kept, *(Path(os.path.normpath(results_dir / name)) for name in contents)),
        notes=(
            *collection.notes,
            *note_others(runs_dir, plan.wanted, is_whole=is_whole),
            *told,
            *notes,
            *say_struck(found.struck, found.results),
        ),
        answer=" ".join(answer(plan.sections(found), plan.score(found))),
    )


def check(
    exhibits: Sequence[Mapping[str, Any]],
    expand: Expand,
    *,
    results_dir: Path,
    is_whole: bool = True,
    places: Sequence[str] = (),
    stale: Sequence[Mapping[str, Any]] = (),
    claims: Mapping[str, Mapping[str, Any]] | None = None,
    scoreboard: Mapping[str, Any] | None = None,
) -> list[str]:
    """Says where results_dir is not what `render` would write now; empty where it is.

    Text is compared byte for byte; figures by the digest of the numbers they plot, since matplotlib's versions draw
    the same numbers in different bytes, and report.html by its text with the drawings taken out. Runs that wait to be
    collected are no problem: a sweep may be on its way.
    """
    plan = Plan(exhibits, expand, tuple(places), parse_stale(list(stale)), claims or {}, scoreboard)
    found, notes = plan.load(results_dir)
    problems = list(notes)
    contents = plan.contents(found, notes, draw_nothing, is_whole=is_whole)
    contents |= _front_page(plan, found, results_dir) if is_whole else {}
    # A report of some exhibits need not know twins that another one has rendered since.
    alone = dataclasses.replace(found, twins={})
    untwinned = {} if is_whole else plan.contents(alone, notes, draw_nothing, is_whole=False)
    for name in contents:
        path = results_dir / name
        try:
            present = path.read_bytes()
        except OSError as error:
            problems.append(f"{path} cannot be read ({error.strerror}); run `gnexp report`")
            continue
        rendered = {_essence(name, one[name]) for one in (contents, untwinned) if name in one}
        if _essence(name, present) not in rendered:
            problems.append(f"{path} is not what the runs say; run `gnexp report` and look at the difference")
    problems += [
        f"{results_dir / name} is left over: nothing renders it"
        for name in plan.left_over(results_dir, found, contents, is_whole=is_whole)
    ]
    return problems


def _front_page(plan: Plan, found: Collected, results_dir: Path) -> dict[str, bytes]:
    """The README.md beside results_dir with the scoreboard between its marks; nothing where it has none.

    Raises:
        ValueError: one of the marks without the other.
    """
    path, board = results_dir.absolute().parent / README, plan.score(found)
    if board is None or not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    name = results_dir.absolute().name
    marked = mark(text, to_markdown(front_blocks(board, name)), f"{name}/{TABLE}", str(path))
    return {} if marked is None else {f"../{README}": marked.encode()}


def _essence(name: str, content: bytes) -> object:
    """What of a file must not change while the runs stay the same."""
    if name.endswith((".svg", ".png")):
        return digest_of(content)
    return without_drawings(content.decode(errors="replace")) if name.endswith(".html") else content
