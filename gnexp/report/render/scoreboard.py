"""The scoreboard: claim, the paper's effect, ours on each data set, verdict; as a table, as CSV and as the answer."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from gnexp.report.exhibits.claims import MARGIN, Claim
from gnexp.report.exhibits.exhibit import OURS, VERIFIED, say_verified
from gnexp.report.exhibits.power import BOUND, POWER
from gnexp.report.exhibits.prose import Prose, percent
from gnexp.report.exhibits.scoreboard import Scoreboard
from gnexp.report.exhibits.verdicts import (
    AGREES,
    CONTRADICTS,
    EQUIVALENCE,
    NOT_RUN,
    TARGET,
    UNDECIDED,
    DataSet,
    Verdict,
)
from gnexp.report.exhibits.words import DASH, join, say_effect, say_points, signed
from gnexp.report.render.blocks import Block, Commands, Heading, Items, Table, Text

TABLE, NUMBERS = "tables/scoreboard.md", "tables/scoreboard.csv"
_COLUMNS = (
    *("claim", "sentence", "exhibit", "source", "verified", "direction", "margin", "metric", "paper"),
    *(
        "data_set",
        "data",
        "verdict",
        "mean",
        "low",
        "high",
        "n",
        "seeds_needed",
        "seeds_at_most",
        "diverged",
        "target",
        "command",
    ),
)


@dataclass(frozen=True)
class _Sentences:
    title: str
    rules: Annotated[str, "equivalence", "margin", "power", "bound"]
    counts: Annotated[str, "claims", "data_sets", "tested", "verdicts", "by_chance"]
    untested: Annotated[str, "claims"]
    uncontradicted: Annotated[str, "tested"]
    ours: str
    target: str
    more: Annotated[str, "claims", "place"]
    fills: str
    no_cell: str
    all_cells: str


_PROSE = Prose("scoreboard", _Sentences)


def scoreboard_blocks(board: Scoreboard) -> list[Block]:
    """For the pages: the table of all claims, the count, the rules."""
    return [_table(board, board.claims), Text(f"{say_counts(board)}. {_say_rules()}")]


def front_blocks(board: Scoreboard, place: str) -> list[Block]:
    """For README.md: the answer, the claims that were chosen for it and the count. place: of results/ beside it."""
    chosen = {claim.id: claim for claim in board.claims}
    rest = len(board.claims) - len(board.choices.front_page)
    more = f"The other {rest} claims" if rest > 0 else "The same"
    return [
        Items(tuple(answer_sentences(board))),
        _table(board, [chosen[name] for name in board.choices.front_page]),
        Text(_PROSE.text.more.format(claims=more, place=f"{place}/{TABLE}")),
    ]


def scoreboard_document(board: Scoreboard) -> list[Block]:
    """tables/scoreboard.md: all claims, how sure we are of the paper's side, what was a target, what is not run."""
    blocks: list[Block] = [Heading("Scoreboard", 1), *scoreboard_blocks(board), Heading("Data sets")]
    blocks.append(Items(tuple(f"{d.title}: {d.about}. {_say_count(board, d)}." for d in board.data_sets)))
    notes = [f"{claim.sentence}: {claim.note}." for claim in board.claims if claim.note]
    notes += [
        f"{claim.sentence}: margin {claim.margin:g}, since {claim.margin_reason}."
        for claim in board.claims
        if claim.margin_reason
    ]
    if notes:
        blocks += [Heading("Notes"), Items(tuple(notes))]
    targets = [
        f"{claim.sentence}, on {data_set.title}: {verdict.target}."
        for claim, data_set, verdict in board.rows()
        if verdict.target
    ]
    if targets:
        blocks += [Heading("Targets, without a verdict"), Items(tuple(targets))]
    blocks += [Heading("How sure we are of the paper's side"), Items(tuple(_say_verified(board.claims)))]
    blocks += [Heading("What is not run"), *_missing(board)]
    return blocks


def scoreboard_csv(board: Scoreboard) -> str:
    """A row per claim and data set."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for claim, data_set, verdict in board.rows():
        found = verdict.found
        half = found.half_width if found is not None else None
        numbers = ["", "", "", ""]
        if found is not None:
            ends = ("", "") if half is None else (f"{found.mean - half:.4f}", f"{found.mean + half:.4f}")
            numbers = [f"{found.mean:.4f}", *ends, " ".join(map(str, found.counts))]
        writer.writerow(
            [
                *(claim.id, claim.sentence, claim.exhibit.id, claim.source, claim.verified or ""),
                *(claim.direction, f"{claim.margin:g}", " minus ".join(claim.metrics)),
                "" if claim.paper is None else f"{claim.paper:.1f}",
                *(data_set.id, verdict.regime, verdict.word, *numbers),
                *(verdict.seeds_needed or "", verdict.seeds_at_most or ""),
                *(verdict.num_diverged, verdict.target),
                "; ".join(verdict.commands),
            ]
        )
    return file.getvalue()


def answer_sentences(board: Scoreboard) -> list[str]:
    """The sentences of conf/scoreboard.yaml with their numbers.

    Raises:
        ValueError: a name in a sentence that is none.
    """
    words = {
        "data_sets": join([_say_data_set(board, data_set) for data_set in board.data_sets]),
        "contradicted": _say_contradicted(board),
        "counts": say_counts(board),
    }
    told: dict[str, object] = {**words, **{c.id: _Told(board, c) for c in board.claims}}
    try:
        return [sentence.format_map(told) for sentence in board.choices.answer]
    except (KeyError, AttributeError, ValueError, IndexError) as error:
        raise ValueError(f"conf/scoreboard.yaml: answer has a name that is no claim: {error}") from None


class _Told:
    """A claim's numbers in a sentence: {bn_at_2} is ours where there is any, {bn_at_2.paper} the paper's."""

    def __init__(self, board: Scoreboard, claim: Claim) -> None:
        self.paper = _say_paper(claim)
        found = [(d, v) for c, d, v in board.rows() if c is claim and v.found is not None]
        self._ours = join([_say_found(d, v) for d, v in found if v.found]) if found else ""

    def __format__(self, spec: str) -> str:
        return self._ours or "a number that is not measured yet"


def _say_found(data_set: DataSet, verdict: Verdict) -> str:
    """An effect as a sentence has it: what a search looked for is called so in the same breath."""
    assert verdict.found is not None, "told is what has been measured"
    aside = f", {_PROSE.text.target}" if verdict.word == TARGET else ""
    return f"{say_points(verdict.found)} on {data_set.title}{aside}"


def _say_rules() -> str:
    """How a verdict is made."""
    return _PROSE.text.rules.format(
        equivalence=percent(EQUIVALENCE), margin=f"{MARGIN:g}", power=percent(POWER), bound=percent(BOUND)
    )


def say_counts(board: Scoreboard) -> str:
    """How many were tested and how they came out, and how many of so many would come out by chance."""
    count = board.count()
    if not count.num_tested:
        return _PROSE.text.untested.format(claims=len(board.claims))
    undecided = count.num_tested - count.of(AGREES) - count.of(CONTRADICTS)
    words = [f"agree {count.of(AGREES)}", f"contradict {count.of(CONTRADICTS)}", f"are undecided {undecided}"]
    return _PROSE.text.counts.format(
        claims=len(board.claims),
        data_sets=len(board.data_sets),
        tested=count.num_tested,
        verdicts=join(words),
        by_chance=f"{0.05 * count.num_tested:.1f}",
    )


def _say_count(board: Scoreboard, data_set: DataSet) -> str:
    count = board.count(data_set)
    asked = sum(count.by_word.values())
    order = (AGREES, CONTRADICTS, UNDECIDED, TARGET, NOT_RUN)
    words = [f"{word} {count.of(word)}" for word in order if count.of(word)]
    return f"{asked} claims: {join(words)}; {count.num_tested} tested" if asked else "No claim"


def _say_data_set(board: Scoreboard, data_set: DataSet) -> str:
    count = board.count(data_set)
    is_run = count.of(NOT_RUN) < sum(count.by_word.values())
    return f"{data_set.title} ({data_set.about}{'' if is_run else '; not run yet'})"


def _say_contradicted(board: Scoreboard) -> str:
    tested = [(c, d, v) for c, d, v in board.rows() if v.is_tested and not c.is_ours]
    found = [(c, d, v) for c, d, v in tested if v.word == CONTRADICTS]
    if not found:
        return _PROSE.text.uncontradicted.format(tested=len(tested))
    told = [f"“{c.sentence}” ({d.title}: {say_effect(v.found)})" for c, d, v in found]
    verb = "contradicts" if len(found) == 1 else "contradict"
    return f"{len(found)} of {len(tested)} tests of the paper's claims {verb} it: {join(told)}"


def _table(board: Scoreboard, claims: Sequence[Claim]) -> Table:
    header = ("claim", "where", "the paper", *(data_set.title for data_set in board.data_sets))
    rows = tuple(
        (
            claim.sentence,
            "ours" if claim.is_ours else claim.source,
            _say_paper(claim),
            *(_say_verdict(board.of(claim, data_set)) for data_set in board.data_sets),
        )
        for claim in claims
    )
    return Table(_PROSE.text.title, header, rows, 2)


def _say_paper(claim: Claim) -> str:
    if claim.paper is not None:
        return signed(claim.paper)
    return DASH if claim.is_ours else "no number"


def _say_verdict(verdict: Verdict | None) -> str:
    if verdict is None:
        return DASH
    if verdict.word == NOT_RUN:
        return f"{NOT_RUN} ({TARGET})" if verdict.target else NOT_RUN
    words = say_effect(verdict.found)
    further = []
    if verdict.num_diverged:
        further.append(f"{verdict.num_diverged} diverged")
    if verdict.word == UNDECIDED and verdict.seeds_needed is not None:
        most = verdict.seeds_at_most
        to = "" if most == verdict.seeds_needed else f" to {'many' if most is None else most}"
        further.append(f"{verdict.seeds_needed}{to} for 80 %")
    if further and words.endswith(")"):
        words = f"{words[:-1]}; {'; '.join(further)})"
    elif further:
        words += f" ({'; '.join(further)})"
    word = verdict.word if verdict.word in (UNDECIDED, TARGET) else f"**{verdict.word}**"
    return f"{word} {words}"


def _say_verified(claims: Iterable[Claim]) -> list[str]:
    found: dict[str, list[str]] = {}
    for claim in claims:
        level = OURS if claim.is_ours else str(claim.verified)
        found.setdefault(level, []).append(f"`{claim.id}`")
    told = {**{word: say_verified(word) for word in VERIFIED}, OURS: _PROSE.text.ours}
    return [f"{told[level]}: {join(found[level])}." for level in told if level in found]


def _missing(board: Scoreboard) -> list[Block]:
    commands = dict.fromkeys(command for _, _, v in board.rows() for command in v.commands)
    unknown: dict[str, list[str]] = {}
    for claim, data_set, verdict in board.rows():
        if verdict.word == NOT_RUN and not verdict.commands:
            unknown.setdefault(data_set.title, []).append(f"`{claim.id}`")
    blocks: list[Block] = []
    if commands:
        blocks.append(Commands(_PROSE.text.fills, tuple(commands)))
    if unknown:
        items = tuple(f"{title}: {join(ids)}." for title, ids in unknown.items())
        blocks += [Text(_PROSE.text.no_cell), Items(items)]
    return blocks or [Text(_PROSE.text.all_cells)]
