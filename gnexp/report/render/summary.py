"""The report's own words: what was asked, the answer by the numbers, and how to run it."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from gnexp.report.exhibits.axes import NORM_NAMES, Key, cell_title
from gnexp.report.exhibits.collect import count
from gnexp.report.exhibits.differences import describe_regime, say_changed
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.prose import Prose
from gnexp.report.exhibits.scoreboard import Scoreboard
from gnexp.report.exhibits.words import join
from gnexp.report.render.blocks import Block, Commands
from gnexp.report.render.contrasts import contrast_sentences
from gnexp.report.render.scoreboard import answer_sentences
from gnexp.report.render.section import Section


@dataclass(frozen=True)
class _Scales:
    small: str
    demo: str


@dataclass(frozen=True)
class _Sentences:
    scales: _Scales
    no_contrasts: str
    unmeasured: str


_PROSE = Prose("summary", _Sentences)


def questions(sections: Sequence[Section]) -> tuple[str, ...]:
    """What the experiments ask, each question once."""
    return tuple(dict.fromkeys(section.found.ours.question for section in sections))


def answer(sections: Sequence[Section], board: Scoreboard | None = None) -> list[str]:
    """The answer: the scoreboard's sentences, else those of the first table with contrasts, a paragraph per scale."""
    if board is not None and board.choices.answer:
        return answer_sentences(board)
    section = _first(sections)
    if section is None and any(one.found.ours.has_any or one.found.paper.has_any for one in sections):
        return [_PROSE.text.no_contrasts]
    if section is None or not (section.found.ours.has_any or section.found.paper.has_any):
        return [_PROSE.text.unmeasured]
    exhibit, found = section.exhibit, section.found
    told = []
    # The paper has no control, so nothing of it stands beside the control's sentences.
    alone = dataclasses.replace(exhibit, paper={})
    parts = (("At the paper's own scale", found.paper, exhibit), ("In our miniature", found.ours, exhibit))
    for place, part, beside in (*parts, ("In the control", found.control, alone)):
        if part is not None and part.has_any:
            sentences = contrast_sentences(beside, part)
            if part is not found.paper:
                sentences += filter(None, [say_changed(part.runs)])
            is_chosen = part is found.ours and any(contrast.target for contrast in exhibit.contrasts)
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


def run_blocks(sections: Sequence[Section]) -> list[Block]:
    """How to run it: every experiment at each scale, then the report."""
    ours: dict[str, dict[str, None]] = {"small": {}, "demo": {}}
    paper: dict[str, None] = {}
    data: dict[str, None] = {}  # that the paper's scale needs
    report = "gnexp report"
    for section in sections:
        for part, commands in (
            (section.found.ours, ours[section.exhibit.scale]),
            (section.found.control, ours[section.exhibit.scale]),
            # What the paper does not ask has nothing to be run beside.
            (None if section.exhibit.is_ours else section.found.paper, paper),
        ):
            if part is not None:
                commands.update(dict.fromkeys(part.sweep_commands()))
                report = shlex.join(("gnexp", "report", *part.places))
                if part.scale == "paper":
                    data.update(dict.fromkeys(r.data.title for r in part.runs))
    titles = {"small": _PROSE.text.scales.small, "demo": _PROSE.text.scales.demo}
    blocks: list[Block] = [
        Commands(f"{titles[scale]} (finished runs are skipped):", (*commands, report))
        for scale, commands in ours.items()
        if commands
    ]
    if paper:
        place = join(list(data))
        blocks.append(Commands(f"The paper's own scale, on {place}:", (*paper, report)))
    return [*blocks, Commands("That this report is what the results say:", (f"{report} --check",))]


def _first(sections: Sequence[Section]) -> Section | None:
    """The table that the answer rests on: the first that has been measured, else the first."""
    tables = [section for section in sections if section.exhibit.contrasts]
    return next(
        (one for one in tables if one.found.ours.has_any or one.found.paper.has_any),
        next(iter(tables), None),
    )


def _legend(exhibit: Exhibit, key: Key) -> list[str]:
    """What the name of a cell stands for."""
    if not {"norm", "batch"} <= set(exhibit.axes):
        return []
    norm, batch = str(exhibit.at(key, "norm")), int(exhibit.at(key, "batch"))
    title = cell_title({"norm": norm, "batch": batch})
    return [f"“{title}” is {NORM_NAMES.get(norm, norm)} with {count(batch, 'image')} per worker."]
