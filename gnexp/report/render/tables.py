"""A table as a document: the paper's values, ours, and what may be said of the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import Annotated

from gnexp.config import RunConfig
from gnexp.report.exhibits.axes import NORM_LEGENDS, norm_title
from gnexp.report.exhibits.cells import Findings, Measurements
from gnexp.report.exhibits.differences import describe_regime, list_differences, say_changed
from gnexp.report.exhibits.exhibit import Exhibit, say_verified
from gnexp.report.exhibits.measures import STATS, stats_legend
from gnexp.report.exhibits.origins import say_origins
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.words import join, say_interval, say_intervals, say_mean
from gnexp.report.render.blocks import Block, Commands, Heading, Items, Table, Text
from gnexp.report.render.contrasts import contrast_sentences, contrast_table, text_table
from gnexp.report.render.grids import effect_grids, paper_grid, value_grid
from gnexp.report.render.section import Section

_FEW = 3  # missing runs up to which single commands are shown rather than the sweep


@dataclass(frozen=True)
class _Sentences:
    ours: str
    source: Annotated[str, "source", "verified"]
    one_regime: str
    effects_alone: Annotated[str, "plural"]
    statistics: Annotated[str, "statistics"]


_PROSE = Prose("tables", _Sentences)


def exhibit_document(section: Section, notes: Sequence[str]) -> list[Block]:
    """The whole of an exhibit's document, such as tables/<id>.md."""
    exhibit = section.exhibit
    twin = f"[{section.twin_words}]({PurePosixPath(section.twin).name})." if section.twin else ""
    blocks: list[Block] = [
        Heading(f"{exhibit.name}. {exhibit.title}", 1),
        Text(f"{source_text(exhibit)} {twin}".rstrip()),
        *section.body,
    ]
    if notes:
        blocks += [Heading("Notes"), Items(tuple(notes))]
    return blocks


def source_text(exhibit: Exhibit) -> str:
    """Where the paper's values stand and how sure we are of them."""
    units = " ".join((exhibit.score.units, *_legends(exhibit)))
    if exhibit.verified is None:
        return f"{_PROSE.text.ours} {units}"
    verified = say_verified(exhibit.verified)
    return f"{_PROSE.text.source.format(source=exhibit.source, verified=verified)} {units}"


def small_blocks(exhibit: Exhibit, found: Findings) -> list[Block]:
    """Our miniature: effects beside the paper's, the values behind them, contrasts and claims."""
    small = found.ours
    control = found.control if found.control is not None and found.control.has_any else None
    blocks: list[Block] = [Heading(f"{small.scale.capitalize()} scale")]
    if not small.has_any and control is None:
        return [
            *blocks,
            Text("Nothing has been run yet."),
            *text_table(exhibit, small),
            *fill_commands(small),
        ]
    blocks.append(Text(small_caption(exhibit, found)))
    blocks += effect_grids(exhibit, small, control)
    blocks.append(value_grid(exhibit, small, control))
    if exhibit.contrasts:
        blocks.append(contrast_table(exhibit, small, control))
        blocks.append(Items(tuple(contrast_sentences(exhibit, small))))
    blocks += text_table(exhibit, small)
    if exhibit.eval_stats_cells:
        blocks.append(_eval_stats_table(exhibit, small))
        blocks.append(
            Text(f"{stats_legend()} {_PROSE.text.statistics.format(statistics=exhibit.eval_stats)}")
        )
    blocks.extend(fill_commands(small))
    if found.control is not None:
        blocks.extend(fill_commands(found.control))
    return blocks


def small_caption(exhibit: Exhibit, found: Findings) -> str:
    """What our scale is, and what it must not be taken for."""
    regime = describe_regime(found.ours.runs)
    limit = (
        _PROSE.text.one_regime
        if exhibit.is_ours
        else _PROSE.text.effects_alone.format(plural=exhibit.score.plural)
    )
    words = [
        f"{regime}; {found.ours.seeds_text() or 'no seed'} per cell; {say_intervals()}.",
        say_changed(found.ours.runs),
        f"{exhibit.regime}, so {limit}" if exhibit.regime else f"{limit[0].upper()}{limit[1:]}",
        say_origins(exhibit, found.ours),
    ]
    if found.control is not None:
        done = "" if found.control.has_any else ", which has not been run yet"
        words.append(
            f"Control: {found.control.experiments[0]} ({describe_regime(found.control.runs)}){done}."
        )
    return " ".join(filter(None, words))


def tell_differences(exhibit: Exhibit, found: Findings) -> list[str]:
    """Differences in science between our cells and the paper's, per network of the cell that has most of them."""
    pairs: dict[str, list[tuple[RunConfig, RunConfig]]] = {}
    for key, cell in found.ours.cells.items():
        ours, theirs = cell.cell.runs[0], found.paper.cells.get(exhibit.paper_key(key))
        if theirs is not None:
            pairs.setdefault(ours.model.label, []).append((ours, theirs.cell.runs[0]))
    # The cells of a network differ in their norms, of which one may add a difference of its own: the groups of GN.
    told = [max((list_differences(*pair) for pair in of_model), key=len) for of_model in pairs.values()]
    # In turns, so that what differs between two networks stands together.
    sentences = dict.fromkeys(words for turn in zip_longest(*told) for words in turn if words)
    return list(sentences) if pairs else ["The two scales share no cell."]


def paper_blocks(exhibit: Exhibit, found: Findings) -> list[Block]:
    """The paper's own setting: its value, ours, the difference; or its values and how to run it."""
    blocks: list[Block] = [Heading("Paper scale")]
    if found.paper.has_any or not exhibit.is_ours:
        blocks.append(paper_grid(exhibit, found.paper))
    if not found.paper.has_any:
        blocks.append(Text("Not run by this project yet."))
    return [*blocks, *fill_commands(found.paper)]


def fill_commands(found: Measurements) -> list[Block]:
    """What to type for the dashes: single commands where few are missing, else the sweep."""
    if not found.num_missing:
        return []
    single = tuple(found.train_commands())
    missing = f"{found.num_missing} of {found.num_planned} runs of {join(list(found.experiments))}"
    if len(single) <= _FEW:
        return [Commands(f"Missing: {missing}. To fill in:", single)]
    blocks: list[Block] = [
        Commands(
            f"Missing: {missing}, {found.scale} scale. To fill in (finished runs are kept):",
            tuple(found.sweep_commands(cell for cell in found.cells.values() if cell.missing)),
        )
    ]
    if found.scale == "paper":
        blocks.append(Commands("The same, run by run", single, is_folded=True))
    return blocks


def _legends(exhibit: Exhibit) -> list[str]:
    """What the paper's own names of norms stand for, one sentence each."""
    if "norm" not in exhibit.axes:
        return []
    norms = dict.fromkeys(str(exhibit.at(key, "norm")) for key in exhibit.paper)
    return [f"{norm_title(norm)} is {NORM_LEGENDS[norm]}." for norm in norms if norm in NORM_LEGENDS]


def _eval_stats_table(exhibit: Exhibit, found: Measurements) -> Table:
    keys, measure = exhibit.eval_stats_cells, exhibit.score.measures[0]
    header = ["running statistics", *map(exhibit.title_of, keys)]
    rows = []
    for name in STATS:
        metric = measure.under(name)
        row = [f"`{name}`", *(say_mean(found.cells.get(key), metric) for key in keys)]
        if len(keys) == 2:
            row.append(say_interval(found.difference(keys[1], keys[0], metric)))
        rows.append(tuple(row))
    if len(keys) == 2:
        header.append("difference")
    title = f"{measure.title[0].upper()}{measure.title[1:]} under each set of running statistics, %"
    return Table(title, tuple(header), tuple(rows))
