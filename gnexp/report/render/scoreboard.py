"""The scoreboard: claim, the paper's effect, ours on each data set, verdict; as a table, as CSV and as the answer."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from gnexp.report.exhibits.claims import Claim
from gnexp.report.exhibits.exhibit import OURS, VERIFIED
from gnexp.report.exhibits.scoreboard import Scoreboard
from gnexp.report.exhibits.statistics import LEAST_SEEDS
from gnexp.report.exhibits.verdicts import (
    AGREES,
    CONTRADICTS,
    NOT_RUN,
    TARGET,
    UNDECIDED,
    DataSet,
    Verdict,
)
from gnexp.report.exhibits.words import DASH, join, say_effect, say_points, signed
from gnexp.report.render.blocks import Block, Commands, Heading, Items, Table, Text

TABLE, NUMBERS = "tables/scoreboard.md", "tables/scoreboard.csv"
RULES = (
    f"A verdict is by Welch's interval, from {LEAST_SEEDS} seeds per cell on. A claim with a direction agrees or "
    "contradicts where the 95 % interval leaves out 0 on its side or on the other. “As much” and “the same” agree "
    "where the 90 % interval lies within the margin (1 point, 1 AP), and contradict where the 95 % interval lies "
    "wholly outside it. Else it is undecided: beside it the n per cell that would see an effect of the paper's size, "
    "or decide at the margin, with 80 % power, by the spread within its cells and by that spread's upper 80 % bound; "
    "where ours is no less, such an effect would most likely have been seen. "
    "A target of the search for a regime has no verdict."
)
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


def scoreboard_blocks(board: Scoreboard) -> list[Block]:
    """For the pages: the table of all claims, the count, the rules."""
    return [_table(board, board.claims), Text(f"{say_counts(board)}. {RULES}")]


def front_blocks(board: Scoreboard, place: str) -> list[Block]:
    """For README.md: the answer, the claims that were chosen for it and the count. place: of results/ beside it."""
    chosen = {claim.id: claim for claim in board.claims}
    rest = len(board.claims) - len(board.choices.front_page)
    more = f"The other {rest} claims" if rest > 0 else "The same"
    return [
        Items(tuple(answer_sentences(board))),
        _table(board, [chosen[name] for name in board.choices.front_page]),
        Text(f"{more}, the rules and the commands for what is not run: [the scoreboard]({place}/{TABLE})."),
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
        found = [(d, v.found) for c, d, v in board.rows() if c is claim and v.found is not None]
        self._ours = (
            join([f"{say_points(value)} on {d.title}" for d, value in found if value]) if found else ""
        )

    def __format__(self, spec: str) -> str:
        return self._ours or "a number that is not measured yet"


def say_counts(board: Scoreboard) -> str:
    """How many were tested and how they came out, and how many of so many would come out by chance."""
    count = board.count()
    if not count.num_tested:
        return f"None of the {len(board.claims)} claims has been tested yet"
    undecided = count.num_tested - count.of(AGREES) - count.of(CONTRADICTS)
    words = [f"agree {count.of(AGREES)}", f"contradict {count.of(CONTRADICTS)}", f"are undecided {undecided}"]
    return (
        f"Of {len(board.claims)} claims, each asked on up to {len(board.data_sets)} data sets, {count.num_tested} were "
        f"tested (n of at least {LEAST_SEEDS} in each cell), of which {join(words)}; were there no effect at all, "
        f"about {0.05 * count.num_tested:.1f} of {count.num_tested} would be told apart by chance"
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
        return f"None of {len(tested)} tests of the paper's claims contradicts it"
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
    title = "Claims, effects in points with 95 % intervals, and verdicts"
    return Table(title, header, rows, 2)


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
    told = {**VERIFIED, OURS: "a claim of ours; the paper does not make it"}
    return [f"{told[level]}: {join(found[level])}." for level in told if level in found]


def _missing(board: Scoreboard) -> list[Block]:
    commands = dict.fromkeys(command for _, _, v in board.rows() for command in v.commands)
    unknown: dict[str, list[str]] = {}
    for claim, data_set, verdict in board.rows():
        if verdict.word == NOT_RUN and not verdict.commands:
            unknown.setdefault(data_set.title, []).append(f"`{claim.id}`")
    blocks: list[Block] = []
    if commands:
        blocks.append(
            Commands("What fills the cells (finished runs are kept), and then gnexp report:", tuple(commands))
        )
    if unknown:
        items = tuple(f"{title}: {join(ids)}." for title, ids in unknown.items())
        blocks += [Text("No experiment has a cell of these claims yet:"), Items(items)]
    return blocks or [Text("Every claim has cells on every data set on which it is asked.")]
