"""Every claim on every data set with its verdict, and the choices of conf/scoreboard.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gnexp.config.fields import require
from gnexp.report.exhibits.cells import Measurements
from gnexp.report.exhibits.claims import Claim, parse_claims
from gnexp.report.exhibits.exhibit import Exhibit
from gnexp.report.exhibits.verdicts import NOT_RUN, Count, DataSet, Verdict, count_verdicts, decide


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What conf/scoreboard.yaml says."""

    data_sets: tuple[DataSet, ...]
    front_page: tuple[str, ...] = ()  # ids of the claims that README.md has
    answer: tuple[str, ...] = ()  # sentences, with the names of claims where their numbers go


@dataclass(frozen=True)
class Scoreboard:
    """Claims in the order of the report; each has a verdict for each data set on which it is asked."""

    claims: tuple[Claim, ...]
    choices: Choices
    verdicts: Mapping[tuple[str, str], Verdict]  # by claim and data set

    @property
    def data_sets(self) -> list[DataSet]:
        """Those that are shown: all, but for one that is hidden while nothing has been run on it."""
        return [
            data_set
            for data_set in self.choices.data_sets
            if not data_set.is_hidden_until_run
            or any(v.word != NOT_RUN for (_, name), v in self.verdicts.items() if name == data_set.id)
        ]

    def of(self, claim: Claim, data_set: DataSet) -> Verdict | None:
        """None where the claim is not asked there."""
        return self.verdicts.get((claim.id, data_set.id))

    def rows(self) -> Iterable[tuple[Claim, DataSet, Verdict]]:
        """Every claim on every data set that is shown and on which it is asked."""
        for claim in self.claims:
            for data_set in self.data_sets:
                if (verdict := self.of(claim, data_set)) is not None:
                    yield claim, data_set, verdict

    def count(self, data_set: DataSet | None = None) -> Count:
        """Verdicts of a data set, or of all that are shown."""
        return count_verdicts(v for _, own, v in self.rows() if data_set in (None, own))


@dataclass(frozen=True)
class Claims:
    """Claims and choices, parsed."""

    claims: tuple[Claim, ...] = ()
    choices: Choices | None = None

    def score(self, measured: Callable[[Claim], Sequence[Measurements]]) -> Scoreboard | None:
        """Decides every claim; None where there is none. measured: the cells of a claim's experiments."""
        if self.choices is None or not self.claims:
            return None
        columns = {data_set.id: data_set for data_set in self.choices.data_sets}
        verdicts = {
            (claim.id, name): decide(claim, measured(claim), columns[name])
            for claim in self.claims
            for name in claim.data_sets
        }
        return Scoreboard(self.claims, self.choices, verdicts)


def parse_scoreboard(
    files: Mapping[str, Mapping[str, Any]], choices: Mapping[str, Any] | None, exhibits: Sequence[Exhibit]
) -> Claims:
    """The claims of conf/claim and the choices of conf/scoreboard.yaml.

    Raises:
        ValueError: one line on the first mistake.
    """
    if choices is None:
        return Claims()
    try:
        chosen = _parse_choices(choices)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"conf/scoreboard.yaml: {error}") from None
    claims = parse_claims(files, exhibits, [data_set.id for data_set in chosen.data_sets])
    known = {claim.id for claim in claims}
    for name in chosen.front_page:
        require(
            name in known, f"conf/scoreboard.yaml: front_page names {name}, which is no claim of conf/claim"
        )
    return Claims(tuple(claims), chosen)


def _parse_choices(values: Mapping[str, Any]) -> Choices:
    unknown = sorted(set(values) - {"data_sets", "front_page", "answer"})
    require(not unknown, f"unknown key {', '.join(unknown)}; known are answer, data_sets, front_page")
    require(isinstance(values.get("data_sets"), Mapping), "data_sets must map names to titles and data")
    data_sets = []
    for name, own in values["data_sets"].items():
        needed, known = {"title", "data", "about"}, {"title", "data", "about", "is_hidden_until_run"}
        require(
            isinstance(own, Mapping) and needed <= set(own) <= known,
            f"data set {name} needs {', '.join(sorted(needed))}, may have is_hidden_until_run",
        )
        require(isinstance(own["data"], list), f"data of {name} must be a list, got {own['data']!r}")
        data_sets.append(
            DataSet(
                id=str(name),
                title=str(own["title"]),
                data=tuple(own["data"]),
                about=str(own["about"]),
                is_hidden_until_run=bool(own.get("is_hidden_until_run", False)),
            )
        )
    return Choices(
        data_sets=tuple(data_sets),
        front_page=tuple(values.get("front_page") or ()),
        answer=tuple(values.get("answer") or ()),
    )
