"""The report's own words: what was asked, the answer made from the numbers, and how far to trust them."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gnexp.report.exhibits.axes import NORM_NAMES, Key, cell_title
from gnexp.report.exhibits.cells import Findings
from gnexp.report.exhibits.collect import count
from gnexp.report.exhibits.deviations import describe_regime, say_exposure
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.statistics import LEAST_SEEDS, Estimate
from gnexp.report.exhibits.words import join
from gnexp.report.render.blocks import Block, Commands, Heading, Items
from gnexp.report.render.contrasts import contrast_sentences
from gnexp.report.render.plots import Plot
from gnexp.report.render.tables import deviations
from gnexp.runs.result import Result

_DATA = {"imagenet": "ImageNet", "coco": "COCO", "kinetics": "Kinetics"}


@dataclass(frozen=True)
class Section:
    """An exhibit with what was measured for it and what is shown of it."""

    exhibit: Exhibit
    found: Findings
    plot: Plot | None  # of a figure
    body: tuple[Block, ...] = ()  # of a document
    sentences: tuple[str, ...] = ()  # what it found at the small scale that is no contrast
    commands: tuple[str, ...] = ()  # what makes the files it lacks, where a sweep does not
    links: tuple[tuple[str, str], ...] = ()  # its files below results/: a word and a path

    @property
    def run_ids(self) -> set[str]:
        """The runs behind it."""
        return {result.run_id for result in unique_results([self])}


def questions(sections: Sequence[Section]) -> tuple[str, ...]:
    """What the experiments ask, each question once."""
    return tuple(dict.fromkeys(section.found.small.question for section in sections))


def answer(sections: Sequence[Section]) -> list[str]:
    """The answer, generated from the numbers of the first table that has contrasts: one paragraph per scale."""
    section = _first(sections)
    if section is None and any(one.found.small.has_any or one.found.paper.has_any for one in sections):
        return ["These exhibits compare nothing; what was measured stands in their files."]
    if section is None or not (section.found.small.has_any or section.found.paper.has_any):
        return ["No run of these exhibits has been measured yet."]
    exhibit, found = section.exhibit, section.found
    told = []
    # The paper has no control, so nothing of it stands beside the control's sentences.
    alone = dataclasses.replace(exhibit, paper={})
    parts = (("At the paper's own scale", found.paper, exhibit), ("In our miniature", found.small, exhibit))
    for place, part, beside in (*parts, ("In the control", found.control, alone)):
        if part is not None and part.has_any:
            sentences = contrast_sentences(beside, part)
            if part is not found.paper:
                sentences += filter(None, [say_exposure(part.runs)])
            is_chosen = part is found.small and any(contrast.target for contrast in exhibit.contrasts)
            sentences += [_say_targets(exhibit)] if is_chosen else []
            chosen = f"; {exhibit.target_aside}" if is_chosen else ""
            told.append(f"{place} ({describe_regime(part.runs)}{chosen}): {' '.join(sentences)}")
    if found.control is not None and not found.control.has_any:
        told.append(f"The control ({describe_regime(found.control.runs)}) has not been run yet.")
    return [*told, *_legend(exhibit, exhibit.contrasts[0].of)]


def _say_targets(exhibit: Exhibit) -> str:
    number, of = sum(bool(contrast.target) for contrast in exhibit.contrasts), len(exhibit.contrasts)
    was = "was" if number == 1 else "were"
    which = "Each of these differences was" if number == of else f"Of these {of} differences {number} {was}"
    return f"{which} {exhibit.target_note}."


def other_findings(sections: Sequence[Section]) -> list[str]:
    """What each other table found: its first difference that has been measured, or its own sentences."""
    told = []
    for section in sections:
        exhibit, found = section.exhibit, section.found
        parts = () if section is _first(sections) else (found.paper, found.small)
        for part in parts:
            for sentence in contrast_sentences(exhibit, part, is_measured=True)[:1]:
                told.append(f"**{exhibit.name}**, {part.scale} scale: {sentence}")
        told += [f"**{exhibit.name}**, small scale: {sentence}" for sentence in section.sentences]
    return told


def trust_blocks(sections: Sequence[Section], notes: Sequence[str]) -> list[Block]:
    """Seeds and spread, hardware and commits, deviations, notes."""
    results = unique_results(sections)
    items = list(dict.fromkeys(section.exhibit.trust for section in sections if section.exhibit.trust))
    exposed = (say_exposure(section.found.small.runs) for section in sections if section.exhibit.control)
    items += list(filter(None, exposed))[:1]
    small = next((section for section in sections if section.exhibit.control), None)
    if small is not None and small.found.control is not None:
        control = small.found.control
        items.append(
            f"Its control is {control.experiments[0]} ({describe_regime(control.runs)}): the same recipe where less of "
            "the effect is expected."
        )
    items += [
        (
            f"Intervals are 95 % t intervals over seeds, given from {LEAST_SEEDS} seeds on: two that happen to agree "
            "would look like evidence. Differences are paired by seed, over the seeds that both cells have, so they "
            "need not be the differences of the means. They hold the noise of training, not that of having one "
            "validation set."
        ),
        "A difference is claimed only where its interval excludes 0.",
    ]
    if skipped := [result for result in results if result.num_skipped]:
        named = join([f"`{result.run_id}` {count(result.num_skipped, 'file')}" for result in skipped])
        items.append(
            f"Files that could not be read were skipped, those of val left out of the scores: {named}."
        )
    if results:
        items += _spread(sections)
        items += describe_env(results)
    blocks: list[Block] = [Items(tuple(items))]
    shown = next(
        (section for section in sections if section.exhibit.control), sections[0] if sections else None
    )
    if shown is not None:
        blocks += [
            Heading("How the small scale differs from the paper's", 3),
            Items(tuple(deviations(shown.exhibit, shown.found))),
        ]
    if notes:
        blocks += [Heading("Notes", 3), Items(tuple(notes))]
    return blocks


def run_blocks(sections: Sequence[Section]) -> list[Block]:
    """How to run it: every experiment at each scale, then the report."""
    small: dict[str, None] = {}
    paper: dict[str, None] = {}
    data: dict[str, None] = {}  # that the paper's scale needs
    report = "gnexp report"
    for section in sections:
        for part, commands in (
            (section.found.small, small),
            (section.found.control, small),
            # What the paper does not ask has nothing to be run beside.
            (None if section.exhibit.is_ours else section.found.paper, paper),
        ):
            if part is not None:
                commands.update(dict.fromkeys(part.sweep_commands()))
                report = shlex.join(("gnexp", "report", *part.places))
                if part.scale == "paper":
                    data.update(dict.fromkeys(_DATA.get(r.data.name, r.data.name) for r in part.runs))
    blocks: list[Block] = [
        Commands("Small scale, on the embedded data (finished runs are skipped):", (*small, report))
    ]
    if paper:
        place = join(list(data))
        blocks.append(Commands(f"The paper's own scale, on {place}:", (*paper, report)))
    return [*blocks, Commands("That this report is what the results say:", (f"{report} --check",))]


def unique_results(sections: Iterable[Section]) -> list[Result]:
    """Every result behind the report, once, by id."""
    found: dict[str, Result] = {}
    for section in sections:
        for part in (section.found.small, section.found.paper, section.found.control):
            found.update({result.run_id: result for result in (part.results if part else [])})
    return [found[run_id] for run_id in sorted(found)]


def describe_env(results: Sequence[Result]) -> list[str]:
    """Hardware, versions, commits and time, from what the runs say about themselves."""
    machines: Counter[str] = Counter()
    versions: Counter[str] = Counter()
    commits: Counter[str] = Counter()
    for result in results:
        for counter, say in ((machines, _machine), (versions, _versions), (commits, _commit)):
            # A run that was resumed elsewhere is one run, and went over all of these in turn.
            counter[", then ".join(dict.fromkeys(say(entry) for entry in result.env or [{}]))] += 1
    hours = math.fsum(result.seconds for result in results) / 3600
    time = f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.0f} minutes"
    days = sorted(
        {str(entry["started"])[:10] for result in results for entry in result.env if entry.get("started")}
    )
    when = (
        ""
        if not days
        else (f", started on {days[0]}" if len(days) == 1 else f", started from {days[0]} to {days[-1]}")
    )
    return [
        f"{count(len(results), 'run')}, {time} of training and evaluation summed over runs{when}.",
        f"Hardware: {_tally(machines)}.",
        f"Software: {_tally(versions)}.",
        f"Commits: {_tally(commits)}.",
    ]


def seeds_and_planned(section: Section) -> str:
    """How many of an exhibit's runs exist, for the index."""
    parts = []
    for name, part in (
        ("small", section.found.small),
        ("control", section.found.control),
        ("paper", section.found.paper),
    ):
        is_asked = name != "paper" or not section.exhibit.is_ours
        if part is not None and (is_asked or part.has_any):
            parts.append(f"{name} {part.num_planned - part.num_missing}/{part.num_planned}")
    return ", ".join(parts)


def _first(sections: Sequence[Section]) -> Section | None:
    """The table that the answer is made from."""
    return next((section for section in sections if section.exhibit.contrasts), None)


def _legend(exhibit: Exhibit, key: Key) -> list[str]:
    """What the name of a cell stands for."""
    if not {"norm", "batch"} <= set(exhibit.axes):
        return []
    norm, batch = str(exhibit.at(key, "norm")), int(exhibit.at(key, "batch"))
    title = cell_title({"norm": norm, "batch": batch})
    return [f"“{title}” is {NORM_NAMES.get(norm, norm)} with {count(batch, 'image')} per worker."]


def _spread(sections: Sequence[Section]) -> list[str]:
    """Seeds and interval widths of the cells, of errors and of APs apart."""
    cells: dict[str, dict[tuple[object, ...], Estimate]] = {}
    for section in sections:
        score = section.exhibit.score
        for part in (section.found.small, section.found.paper, section.found.control):
            for key, cell in part.cells.items() if part else ():
                if part and (value := cell.estimate(section.exhibit.metric)):
                    place = part.scale, part.experiments, key
                    cells.setdefault(score.measures[0].title, {})[place] = value
    told = [_say_spread(list(values.values())) for values in cells.values()]
    if len(told) < 2:
        return told
    return [f"Of {title}: {words}" for title, words in zip(cells, told, strict=True)]


def _say_spread(found: list[Estimate]) -> str:
    halves = [value.half_width for value in found if value.half_width is not None]
    numbers = sorted({value.n for value in found})
    n = f"n = {numbers[0]}" if len(numbers) == 1 else f"n = {numbers[0]} to {numbers[-1]}"
    if not halves:
        return f"{n} seed{'' if numbers[-1] == 1 else 's'} per cell: no interval, so nothing is claimed."
    middle = sorted(halves)[len(halves) // 2]
    return (
        f"{n} seeds per cell; the half-width of a cell's interval is {middle:.1f} points at the median and "
        f"{max(halves):.1f} at most."
    )


def _versions(entry: dict[str, object]) -> str:
    return f"Python {entry.get('python', 'unknown')}, torch {entry.get('torch', 'unknown')}"


def _commit(entry: dict[str, object]) -> str:
    commit = str(entry.get("commit") or "unknown")[:12]
    return f"`{commit}`{' with uncommitted changes' if entry.get('dirty') else ''}"


def _machine(entry: dict[str, object]) -> str:
    processor = entry.get("processor") or "unknown processor"
    words = [str(processor), f"{entry['cores']} cores" if entry.get("cores") else ""]
    device = str(entry.get("device") or "")
    words.append("" if device in ("", "cpu") else device)
    words.append(f"{entry['threads']} per run" if entry.get("threads") else "")
    words.append(str(entry.get("system") or ""))
    return ", ".join(word for word in words if word)


def _tally(counter: Counter[str]) -> str:
    if len(counter) == 1:
        return next(iter(counter))
    return join([f"{name} ({count(number, 'run')})" for name, number in sorted(counter.items())])
