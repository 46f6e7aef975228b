"""How far to trust the results: seeds and spread, hardware and commits, how our scale differs, notes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from gnexp.report.exhibits.collect import count
from gnexp.report.exhibits.differences import describe_regime, say_changed
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.statistics import Estimate
from gnexp.report.exhibits.words import join
from gnexp.report.render.blocks import Block, Heading, Items
from gnexp.report.render.section import Section, unique_results
from gnexp.report.render.tables import tell_differences
from gnexp.runs.result import Result


@dataclass(frozen=True)
class _Sentences:
    control: Annotated[str, "experiment", "regime"]
    intervals: str
    claimed: str
    skipped: Annotated[str, "runs"]
    spread: Annotated[str, "n", "median", "most"]
    no_spread: Annotated[str, "n"]


_PROSE = Prose("trust", _Sentences)


def trust_blocks(sections: Sequence[Section], notes: Sequence[str]) -> list[Block]:
    """Seeds and spread, hardware and commits, differences, notes."""
    results = unique_results(sections)
    items = list(dict.fromkeys(section.exhibit.trust for section in sections if section.exhibit.trust))
    exposed = (say_changed(section.found.ours.runs) for section in sections if section.exhibit.control)
    items += list(filter(None, exposed))[:1]
    small = next((section for section in sections if section.exhibit.control), None)
    if small is not None and small.found.control is not None:
        control = small.found.control
        regime = describe_regime(control.runs)
        items.append(_PROSE.text.control.format(experiment=control.experiments[0], regime=regime))
    items += [_PROSE.text.intervals, _PROSE.text.claimed]
    if skipped := [result for result in results if result.num_skipped]:
        named = join([f"`{result.run_id}` ({result.num_skipped})" for result in skipped])
        items.append(_PROSE.text.skipped.format(runs=named))
    if results:
        items += _spread(sections)
        items += describe_env(results)
    blocks: list[Block] = [Items(tuple(items))]
    shown = next(
        (section for section in sections if section.exhibit.control), sections[0] if sections else None
    )
    if shown is not None:
        blocks += [
            Heading(f"How the {shown.found.ours.scale} scale differs from the paper's", 3),
            Items(tuple(tell_differences(shown.exhibit, shown.found))),
        ]
    if notes:
        blocks += [Heading("Notes", 3), Items(tuple(notes))]
    return blocks


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
        f"Hardware: {_count(machines)}.",
        f"Software: {_count(versions)}.",
        f"Commits: {_count(commits)}.",
    ]


def _spread(sections: Sequence[Section]) -> list[str]:
    """Seeds and interval widths of the cells, of errors and of APs apart."""
    cells: dict[str, dict[tuple[object, ...], Estimate]] = {}
    for section in sections:
        score = section.exhibit.score
        for part in (section.found.ours, section.found.paper, section.found.control):
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
        return _PROSE.text.no_spread.format(n=f"{n} seed{'' if numbers[-1] == 1 else 's'}")
    middle = sorted(halves)[len(halves) // 2]
    return _PROSE.text.spread.format(n=n, median=f"{middle:.1f}", most=f"{max(halves):.1f}")


def _versions(entry: dict[str, object]) -> str:
    own = f"Python {entry.get('python', 'unknown')}, torch {entry.get('torch', 'unknown')}"
    packages = entry.get("norm_packages")
    norms = packages.items() if isinstance(packages, dict) else ()
    return ", ".join([own, *(f"norm {kind} of {package}" for kind, package in sorted(norms))])


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


def _count(counter: Counter[str]) -> str:
    if len(counter) == 1:
        return next(iter(counter))
    return join([f"{name} ({count(number, 'run')})" for name, number in sorted(counter.items())])
