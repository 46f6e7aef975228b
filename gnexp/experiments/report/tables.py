"""A table of the paper as a document: the paper's values, ours, and what may be said of the difference."""

from __future__ import annotations

from collections.abc import Callable

from gnexp.experiments.report.blocks import Block, Commands, Heading, Items, Table, Text
from gnexp.experiments.report.cells import Findings, Measurements, axis_values, make_key
from gnexp.experiments.report.deviations import describe_regime, list_deviations
from gnexp.experiments.report.exhibit import METRICS, VERIFIED, Contrast, Exhibit, Key, cell_title, norm_title
from gnexp.experiments.report.words import (
    DASH,
    join,
    say_contrast,
    say_effect,
    say_error,
    say_interval,
    signed,
)

_FEW = 3  # missing runs up to which single commands are shown rather than the sweep


def table_document(exhibit: Exhibit, found: Findings, notes: list[str]) -> list[Block]:
    """The whole of tables/<id>.md."""
    blocks: list[Block] = [
        Heading(f"{exhibit.name}. {exhibit.title}", 1),
        Text(source_text(exhibit)),
        *small_blocks(exhibit, found),
        Heading("How the small scale differs from the paper's"),
        Items(tuple(deviations(found))),
        *paper_blocks(exhibit, found),
    ]
    if notes:
        blocks += [Heading("Notes"), Items(tuple(notes))]
    return blocks


def source_text(exhibit: Exhibit) -> str:
    """Where the paper's values stand and how sure we are of them."""
    return (
        f"Source: {exhibit.source} of Wu & He 2018 (arXiv 1803.08494v3); values {VERIFIED[exhibit.verified]}. "
        "Errors are top-1 validation errors in percent, differences in points."
    )


def small_blocks(exhibit: Exhibit, found: Findings) -> list[Block]:
    """Our miniature: effects beside the paper's, the errors behind them, contrasts and claims."""
    small, control = found.small, found.control
    blocks: list[Block] = [Heading("Small scale")]
    if not small.has_any and not (control and control.has_any):
        return [*blocks, Text("Nothing has been run yet."), *fill_commands(small)]
    blocks.append(Text(small_caption(exhibit, found)))
    assert exhibit.reference is not None  # parse_exhibit requires it of a table
    reference = exhibit.reference
    sources: list[tuple[str, Callable[[Key], str]]] = [
        ("the paper", lambda key: say_paper_effect(exhibit, key)),
        ("ours", lambda key: _effect_cell(small, key, reference, exhibit.metric)),
    ]
    errors: list[tuple[str, Callable[[Key], str]]] = [
        ("ours", lambda key: say_error(small.cells.get(key), exhibit.metric))
    ]
    if control is not None and control.has_any:
        sources.append(("control", lambda key: _effect_cell(control, key, reference, exhibit.metric)))
        errors.append(("control", lambda key: say_error(control.cells.get(key), exhibit.metric)))
    title = f"Effect in points: error minus error of {cell_title(reference)}, paired by seed"
    blocks.append(_grid(exhibit, small, title, sources))
    blocks.append(_grid(exhibit, small, "Errors behind it, % (not comparable with the paper's)", errors))
    if exhibit.contrasts:
        blocks.append(_contrast_table(exhibit, small, control))
        blocks.append(Items(tuple(contrast_sentences(exhibit, small))))
    if exhibit.eval_stats_cells:
        blocks.append(_eval_stats_table(exhibit, small))
        blocks.append(
            Text(
                "Running statistics that evaluate the model: `worker0` those of the first worker (what users of "
                "DistributedDataParallel get), `mean` averaged over workers, `precise` pooled over a pass of training "
                "images. The paper does not say which it used; the tables above use "
                f"`{exhibit.eval_stats}`."
            )
        )
    blocks.extend(fill_commands(small))
    if control is not None:
        blocks.extend(fill_commands(control))
    return blocks


def small_caption(exhibit: Exhibit, found: Findings) -> str:
    """What the small scale is, and what it must not be taken for."""
    run = found.small.run
    regime = describe_regime(run) if run else "No run"
    words = [
        f"{regime}; {found.small.seeds_text() or 'no seed'} per cell; mean ± half the 95 % t interval over seeds.",
        "This regime was selected to show the effect (every regime tried is in docs/log.md), so only effects",
        "are compared with the paper's, never errors.",
    ]
    if found.control is not None and found.control.run is not None:
        done = "" if found.control.has_any else ", which has not been run yet"
        words.append(f"Control: {found.control.experiments[0]} ({describe_regime(found.control.run)}){done}.")
    return " ".join(words)


def deviations(found: Findings) -> list[str]:
    """Differences in science between our cells and the paper's, from a cell of GN where there is one."""
    shared = [key for key in found.small.cells if key in found.paper.cells]
    if not shared:
        return ["The two scales share no cell."]
    key = next((key for key in shared if key[0] == "gn"), shared[0])
    return list_deviations(found.small.cells[key].cell.runs[0], found.paper.cells[key].cell.runs[0])


def paper_blocks(exhibit: Exhibit, found: Findings) -> list[Block]:
    """The paper's own setting: its value, ours, the difference; or its values and how to run it."""
    paper = found.paper
    sources: list[tuple[str, Callable[[Key], str]]] = [("the paper", lambda key: say_paper(exhibit, key))]
    if paper.has_any:
        sources.append(("ours", lambda key: say_error(paper.cells.get(key), exhibit.metric)))
        sources.append(("difference", lambda key: _paper_difference(exhibit, paper, key)))
    blocks: list[Block] = [
        Heading("Paper scale"),
        _grid(exhibit, paper, "Top-1 validation error, %", sources),
    ]
    if not paper.has_any:
        blocks.append(Text("Not run by this project yet."))
    return [*blocks, *fill_commands(paper)]


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
            tuple(found.sweep_commands()),
        )
    ]
    if found.scale == "paper":
        blocks.append(Commands("The same, run by run", single, is_folded=True))
    return blocks


def contrast_sentences(exhibit: Exhibit, found: Measurements) -> list[str]:
    """One sentence per contrast, worded as its interval allows."""
    return [
        say_contrast(
            contrast,
            found.difference(contrast.of, contrast.minus, exhibit.metric),
            _paper_of(exhibit, contrast),
        )
        for contrast in exhibit.contrasts
    ]


def say_paper(exhibit: Exhibit, key: Key) -> str:
    """The paper's error of a cell."""
    return f"{exhibit.paper[key]:.1f}" if key in exhibit.paper else DASH


def say_paper_effect(exhibit: Exhibit, key: Key) -> str:
    """The paper's error of a cell minus that of its reference."""
    if key not in exhibit.paper or exhibit.reference not in exhibit.paper:
        return DASH
    return signed(exhibit.paper[key] - exhibit.paper[exhibit.reference])


def _grid(
    exhibit: Exhibit, found: Measurements, title: str, sources: list[tuple[str, Callable[[Key], str]]]
) -> Table:
    assert exhibit.rows is not None and exhibit.columns is not None  # parse_exhibit requires them of a table
    keys = [*found.cells, *(key for key in exhibit.paper if key not in found.cells)]
    columns = axis_values(keys, exhibit.columns)
    rows = [
        (
            f"{_axis_title(exhibit.rows, row)}, {name}",
            *(say(make_key(exhibit.rows, row, column)) for column in columns),
        )
        for row in axis_values(keys, exhibit.rows)
        for name, say in sources
    ]
    corner = "images per worker" if exhibit.columns == "batch" else "norm"
    return Table(
        title, (corner, *(_axis_title(exhibit.columns, c, short=True) for c in columns)), tuple(rows)
    )


def _axis_title(axis: str, value: str | int, short: bool = False) -> str:
    if axis == "norm":
        return norm_title(str(value))
    return str(value) if short else f"{value} images per worker"


def _effect_cell(found: Measurements, key: Key, reference: Key, metric: str) -> str:
    if key == reference:
        return "0" if found.cells[key].estimate(metric) else DASH
    effect = found.difference(key, reference, metric)
    cell = found.cells.get(key)
    if cell is not None and cell.num_diverged:
        diverged = f"{cell.num_diverged} of {len(cell.results)} diverged"
        return diverged if effect is None else say_effect(effect).replace(")", f", {diverged})")
    return say_effect(effect)


def _contrast_table(exhibit: Exhibit, small: Measurements, control: Measurements | None) -> Table:
    has_control = control is not None and control.has_any
    has_target = any(contrast.target for contrast in exhibit.contrasts)
    rows = []
    for contrast in exhibit.contrasts:
        ours = small.difference(contrast.of, contrast.minus, exhibit.metric)
        paper = _paper_of(exhibit, contrast)
        row = [f"{cell_title(contrast.of)} minus {cell_title(contrast.minus)}"]
        row += [DASH if paper is None else signed(paper), say_interval(ours)]
        if control is not None and has_control:
            row.append(say_interval(control.difference(contrast.of, contrast.minus, exhibit.metric)))
        if has_target:
            met = (
                ""
                if ours is None or not contrast.target
                else ("met" if contrast.is_met(ours.mean) else "not met")
            )
            row.append(f"{contrast.target}: {met}".rstrip(": ") or DASH)
        rows.append(tuple(row))
    header = [
        "difference",
        "the paper",
        "ours",
        *(["control"] if has_control else []),
        *(["target for the mean"] if has_target else []),
    ]
    note = "; the targets were set before these seeds were run" if has_target else ""
    return Table(
        f"Differences in points, paired by seed, with 95 % t intervals{note}", tuple(header), tuple(rows)
    )


def _eval_stats_table(exhibit: Exhibit, found: Measurements) -> Table:
    keys = exhibit.eval_stats_cells
    header = ["running statistics", *(cell_title(key) for key in keys)]
    rows = []
    for name, metric in METRICS.items():
        row = [f"`{name}`", *(say_error(found.cells.get(key), metric) for key in keys)]
        if len(keys) == 2:
            row.append(say_interval(found.difference(keys[1], keys[0], metric)))
        rows.append(tuple(row))
    if len(keys) == 2:
        header.append("difference")
    return Table("Error under each set of running statistics, %", tuple(header), tuple(rows))


def _paper_of(exhibit: Exhibit, contrast: Contrast) -> float | None:
    if contrast.of not in exhibit.paper or contrast.minus not in exhibit.paper:
        return None
    return exhibit.paper[contrast.of] - exhibit.paper[contrast.minus]


def _paper_difference(exhibit: Exhibit, found: Measurements, key: Key) -> str:
    cell = found.cells.get(key)
    ours = cell.estimate(exhibit.metric) if cell else None
    if ours is None or key not in exhibit.paper:
        return DASH
    spread = "" if ours.half_width is None else f" ± {ours.half_width:.1f}"
    return f"{signed(ours.mean - exhibit.paper[key])}{spread}"
