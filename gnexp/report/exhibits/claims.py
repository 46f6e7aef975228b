"""What a claim is: a sentence of the paper, or of ours, as a contrast of cells. The schema of conf/claim/."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gnexp.config.fields import require
from gnexp.report.exhibits.axes import Key, parse_value
from gnexp.report.exhibits.exhibit import OURS, VERIFIED, Exhibit
from gnexp.report.exhibits.measures import STATS, Measure

LESS, MORE, SAME = DIRECTIONS = ("less", "more", "no difference")
MARGIN = 1.0  # points: smaller differences are none, unless a claim reasons otherwise
_ZERO = 1e-9  # the sum of decimal values that cancel is not quite 0

_OF_FILE = {"exhibit", "data_sets", "experiments", "claims"}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A contrast of two or four cells with what is said of it."""

    id: str
    sentence: str
    exhibit: Exhibit
    parts: tuple[tuple[int, Key], ...]  # sign and cell, named as the small scale spells it
    direction: str  # of DIRECTIONS
    data_sets: tuple[str, ...]  # on which it is asked
    margin: float = MARGIN  # points
    margin_reason: str = ""
    measure: Measure
    statistics: tuple[
        str, ...
    ]  # of STATS; of two the first's value minus the second's is taken within each run
    paper: float | None  # its effect, points
    source: str
    verified: str | None
    note: str = ""
    # data set -> why its outcome is no test: a search for its regime looked for this effect
    targets: Mapping[str, str] = field(default_factory=dict)
    experiments: tuple[str, ...]  # whose runs may hold the cells

    @property
    def is_equivalence(self) -> bool:
        """Whether it says that there is no difference."""
        return self.direction == SAME

    @property
    def is_ours(self) -> bool:
        """Whether the paper does not make it."""
        return self.source == OURS

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metric keys of a run's value: one, or two that are subtracted."""
        return tuple(self.measure.under(stats) for stats in self.statistics)

    @property
    def effect_to_see(self) -> float:
        """The effect that a test should be able to see: the margin, or in a direction one of the paper's size."""
        return self.margin if self.is_equivalence or not self.paper else abs(self.paper)


def parse_claims(
    files: Mapping[str, Mapping[str, Any]], exhibits: Sequence[Exhibit], data_sets: Sequence[str]
) -> list[Claim]:
    """The claims of some files, in the order of their exhibits and of their files.

    Args:
        files: name of a file of conf/claim -> its values.
        exhibits: all that there are.
        data_sets: the names of those that a claim may be asked on.

    Raises:
        ValueError: one line that names the file, the claim and the key that is unknown, missing or wrong.
    """
    known = {exhibit.id: exhibit for exhibit in exhibits}
    found: list[Claim] = []
    for name, values in files.items():
        try:
            found += _parse_file(values, known, data_sets)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"conf/claim/{name}.yaml: {error}") from None
    ids = [claim.id for claim in found]
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
    require(not twice, f"conf/claim: two claims have the id {', '.join(twice)}")
    return sorted(found, key=lambda claim: claim.exhibit.order)


def _parse_file(
    values: Mapping[str, Any], exhibits: Mapping[str, Exhibit], data_sets: Sequence[str]
) -> Iterator[Claim]:
    require(isinstance(values, Mapping), f"a file of claims holds keys and values, got {values!r}")
    _check_keys(values, _OF_FILE, needed={"exhibit", "data_sets", "claims"})
    exhibit = exhibits.get(str(values["exhibit"]))
    if exhibit is None:
        raise ValueError(f"exhibit must be one of {', '.join(exhibits)}, got {values['exhibit']}")
    named = _names(values, "data_sets")
    for name in named:
        require(name in data_sets, f"data_sets must be of {', '.join(data_sets)}, got {name}")
    require(isinstance(values["claims"], list), f"claims must be a list, got {values['claims']!r}")
    experiments = (*exhibit.experiments, *_names(values, "experiments"))
    for entry in values["claims"]:
        name = entry.get("id", "without an id") if isinstance(entry, Mapping) else repr(entry)
        try:
            yield _parse_claim(entry, exhibit, named, experiments)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"claim {name}: {error}") from None


_OF_CLAIM = {
    *("id", "sentence", "of", "minus", "against", "direction", "margin", "margin_reason", "metric"),
    *("statistics", "effect", "source", "verified", "note", "targets", "data_sets"),
}


def _parse_claim(
    values: Mapping[str, Any], exhibit: Exhibit, data_sets: tuple[str, ...], experiments: tuple[str, ...]
) -> Claim:
    require(isinstance(values, Mapping), f"a claim holds keys and values, got {values!r}")
    _check_keys(values, _OF_CLAIM, needed={"id", "sentence", "of", "minus", "direction"})
    direction, sentence = values["direction"], str(values["sentence"])
    require(direction in DIRECTIONS, f"direction must be {', '.join(DIRECTIONS)}, got {direction}")
    require(not sentence.endswith("."), "sentence has no full stop: it stands in a table")
    parts = [(1, _key(exhibit, values["of"])), (-1, _key(exhibit, values["minus"]))]
    if "against" in values:
        _check_keys(values["against"], {"of", "minus"}, needed={"of", "minus"})
        parts += [
            (-1, _key(exhibit, values["against"]["of"])),
            (1, _key(exhibit, values["against"]["minus"])),
        ]
    require(
        len({key for _, key in parts}) == len(parts),
        "the cells of a contrast differ, and one stands in it twice",
    )
    margin = values.get("margin", MARGIN)
    require(_is_number(margin) and margin > 0, f"margin must be a number of points above 0, got {margin!r}")
    require(
        margin == MARGIN or bool(values.get("margin_reason")),
        f"a margin other than {MARGIN:g} needs margin_reason, which says why",
    )
    is_ours = values.get("source", exhibit.source) == OURS
    verified = values.get("verified", None if is_ours else exhibit.verified)
    require(
        (verified is None) if is_ours else (verified in VERIFIED),
        f"verified must be {', '.join(VERIFIED)}, and absent of source {OURS}; got {verified}",
    )
    own = _names(values, "data_sets") or data_sets
    require(
        {*own} <= {*data_sets},
        f"data_sets must be of the file's {', '.join(data_sets)}, got {', '.join(own)}",
    )
    targets = values.get("targets", {})
    other = [name for name in targets if name not in own]
    require(not other, f"targets names {', '.join(other)}, which is none of its data_sets")
    measure = _measure(exhibit, values.get("metric"))
    claim = Claim(
        id=str(values["id"]),
        sentence=sentence,
        exhibit=exhibit,
        parts=tuple(parts),
        direction=direction,
        data_sets=own,
        margin=float(margin),
        margin_reason=str(values.get("margin_reason", "")),
        measure=measure,
        statistics=_statistics(values, exhibit, measure),
        paper=None,
        source=str(values.get("source", exhibit.source)),
        verified=verified,
        note=str(values.get("note", "")),
        targets={name: str(why) for name, why in targets.items()},
        experiments=experiments,
    )
    return dataclasses.replace(claim, paper=_paper_effect(claim, values.get("effect")))


def _paper_effect(claim: Claim, told: Any) -> float | None:
    """By the exhibit's values where it has every cell's; else by the paper's prose; else by the claim's own file."""
    exhibit, measure = claim.exhibit, claim.measure
    cells = [(sign, exhibit.paper_key(key)) for sign, key in claim.parts]
    values = [
        exhibit.paper_value(key, measure) if measure in exhibit.score.measures else None for _, key in cells
    ]
    found = None
    if None not in values and not claim.is_ours:
        found = sum(sign * value for (sign, _), value in zip(cells, values, strict=True) if value is not None)
    elif len(cells) == 2:
        asked = (claim.parts[0][1], claim.parts[1][1], measure)
        prose = (t.difference for t in exhibit.in_text if (t.of, t.minus, t.measure) == asked)
        found = next(prose, None)
    require(
        found is None or told is None,
        f"effect is {told}, and the exhibit {exhibit.id} has the paper's: leave it out",
    )
    require(told is None or _is_number(told), f"effect must be a number of points, got {told!r}")
    if found is None:
        return None if told is None else float(told)
    return 0.0 if abs(found) < _ZERO else found


def _statistics(values: Mapping[str, Any], exhibit: Exhibit, measure: Measure) -> tuple[str, ...]:
    own = [exhibit.eval_stats if measure in exhibit.score.measures else "worker0"]
    found = values.get("statistics", own)
    found = tuple(found) if isinstance(found, list) else (found,)
    known = all(stats in STATS for stats in found) and len({*found}) == len(found) in (1, 2)
    require(known, f"statistics must be one or two of {', '.join(STATS)}, got {values.get('statistics')}")
    return found


def _measure(exhibit: Exhibit, metric: Any) -> Measure:
    known = exhibit.score.told
    name = exhibit.score.measures[0].name if metric is None else metric
    require(name in known, f"metric must be one of {', '.join(known)}, got {name}")
    return known[name]


def _key(exhibit: Exhibit, values: Any) -> Key:
    require(
        isinstance(values, Mapping) and set(values) == set(exhibit.axes),
        f"a cell of {exhibit.id} is named by {' and '.join(exhibit.axes)}, got {values!r}",
    )
    return tuple(parse_value(axis, values[axis]) for axis in exhibit.axes)


def _names(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = values.get(key, [])
    require(isinstance(found, list), f"{key} must be a list, got {found!r}")
    return tuple(map(str, found))


def _check_keys(values: Mapping[str, Any], known: set[str], *, needed: set[str]) -> None:
    unknown = sorted(set(values) - known)
    require(not unknown, f"unknown key {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    missing = sorted(key for key in needed if not values.get(key))
    require(not missing, f"needs {', '.join(missing)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
