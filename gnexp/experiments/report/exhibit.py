"""What an exhibit asks for: the schema of conf/exhibit/, checked before anything is read or drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gnexp.experiments.plan import AxisValue
from gnexp.experiments.report.axes import Key, cell_title, parse_value
from gnexp.fields import require
from gnexp.keys import check_key

METRICS = {"worker0": "val/top1_error", "mean": "val/top1_error_mean", "precise": "val/top1_error_precise"}
VERIFIED = {
    "two": "read in two renderings of the paper",
    "one": "read in one rendering of the paper",
    "secondary": "from a secondary note that agrees with all that can be checked",
}
OURS = "gnexp"  # source of an exhibit that the paper does not have
# What each kind must say beside the keys that all of them share.
_KINDS = {
    "table": {"columns", "reference"},
    "batch_figure": {"lines", "reference"},
    "epoch_figure": {"lines", "panels", "metrics"},
    "percentile_figure": {"panels", "metrics"},
    "eval_stats_table": {"columns", "reference"},
    "eval_stats_figure": {"columns", "reference"},
    "gap_table": {"columns", "lines"},
    "gap_figure": {"columns", "lines"},
}
_KINDS_WITH_VALUES = {"table", "batch_figure"}  # what they show of the paper is its values
# Kinds whose keys name all of their axes, and the axes that they span without naming them.
_SPANNED: dict[str, set[str]] = {
    "percentile_figure": set(),
    "eval_stats_table": set(),
    "eval_stats_figure": set(),
    "gap_table": {"batch"},
    "gap_figure": {"batch"},
}


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A difference between two cells that the exhibit is about, with the target set for it beforehand."""

    of: Key
    minus: Key
    at_least: float | None = None  # points
    at_most: float | None = None  # points, of the size

    @property
    def target(self) -> str:
        """The target in words; empty where none was set."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "" if self.at_most is None else f"within ±{self.at_most:g}"

    def is_met(self, difference: float) -> bool:
        """Whether a measured difference reaches the target."""
        return (self.at_least is None or difference >= self.at_least) and (
            self.at_most is None or abs(difference) <= self.at_most
        )


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A table or figure: which experiments, which cells, the paper's values and their source."""

    id: str
    order: int  # place in the report
    kind: str
    title: str
    source: str  # where it stands in the paper, or gnexp
    experiments: tuple[str, ...]
    name: str = ""  # what the report calls it; from its id unless given: table2 -> Table 2
    verified: str | None = None  # how sure we are of the paper's values; None where it is not the paper's
    axes: tuple[str, ...] = ("norm", "batch")  # Hydra keys that tell its cells apart
    control: str | None = None  # experiment under which the effect is expected to vanish; small scale only
    rows: tuple[str, ...] = ()  # axes
    columns: str | None = None
    lines: str | None = None
    panels: str | None = None
    metrics: tuple[str, ...] = ()  # of the per-epoch series
    # Effects are error minus this cell's error; an axis that it leaves out keeps the value of the cell at hand.
    reference: Mapping[str, AxisValue] = field(default_factory=dict)
    eval_stats: str = "worker0"
    paper: Mapping[Key, float] = field(default_factory=dict)  # top-1 error in percent
    # Axis -> value at small scale -> the value of the paper that it stands for.
    stands_for: Mapping[str, Mapping[AxisValue, AxisValue]] = field(default_factory=dict)
    contrasts: tuple[Contrast, ...] = ()  # named as the small scale spells them
    eval_stats_cells: tuple[Key, ...] = ()
    beside: str = ""  # what another study found, with its source

    @property
    def metric(self) -> str:
        """Metric key of the error that this exhibit shows."""
        return METRICS[self.eval_stats]

    @property
    def is_table(self) -> bool:
        """Whether it is written as a table; the others are drawn."""
        return self.kind.endswith("table")

    @property
    def is_ours(self) -> bool:
        """Whether it is a question of this project's, which the paper does not ask."""
        return self.source == OURS

    def at(self, key: Key, axis: str) -> AxisValue:
        """A cell's value on an axis."""
        return key[self.axes.index(axis)]

    def title_of(self, key: Key) -> str:
        """A cell in words, short: BN at 32."""
        return cell_title(dict(zip(self.axes, key, strict=True)))

    @property
    def reference_title(self) -> str:
        """The reference in words."""
        kept = [axis for axis in self.axes if axis not in self.reference]
        return " of the same ".join((cell_title(self.reference), *kept))

    def reference_of(self, key: Key) -> Key:
        """The cell whose error is taken off a cell's."""
        return tuple(self.reference.get(axis, value) for axis, value in zip(self.axes, key, strict=True))

    def paper_key(self, key: Key) -> Key:
        """The paper's cell that a cell of the small scale stands for."""
        return tuple(
            self.stands_for.get(axis, {}).get(value, value)
            for axis, value in zip(self.axes, key, strict=True)
        )

    def paper_difference(self, of: Key, minus: Key) -> float | None:
        """The paper's error of one cell minus that of another, in points; cells of either scale."""
        a, b = self.paper.get(self.paper_key(of)), self.paper.get(self.paper_key(minus))
        return None if a is None or b is None else a - b


def parse_exhibit(values: Mapping[str, Any]) -> Exhibit:
    """Builds an exhibit from plain values.

    Raises:
        ValueError: naming the exhibit and the key that is unknown, missing or wrong.
    """
    name = str(values.get("id", "without an id"))
    try:
        return _parse(values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"exhibit {name}: {error}") from None


def _parse(values: Mapping[str, Any]) -> Exhibit:
    fields = {f.name: f for f in dataclasses.fields(Exhibit)}
    unknown = sorted(set(values) - set(fields))
    require(not unknown, f"unknown key {', '.join(unknown)}; known are {', '.join(sorted(fields))}")
    kind = str(values.get("kind"))
    require(kind in _KINDS, f"kind must be one of {', '.join(_KINDS)}, got {values.get('kind')}")
    is_ours = values.get("source") == OURS
    needed = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
    needed |= _KINDS[kind] | (set() if is_ours else {"verified"})
    needed |= {"paper"} if kind in _KINDS_WITH_VALUES and not is_ours else set()
    missing = sorted(key for key in needed if not values.get(key))
    require(not missing, f"a {kind} needs {', '.join(missing)}")
    require(
        not is_ours or not (values.get("paper") or values.get("verified")),
        f"source {OURS} says that the paper has no such exhibit, so neither paper nor verified",
    )
    verified = values.get("verified")
    require(is_ours or verified in VERIFIED, f"verified must be {', '.join(VERIFIED)}, got {verified}")
    stats = values.get("eval_stats", "worker0")
    require(stats in METRICS, f"eval_stats must be {', '.join(METRICS)}, got {stats}")

    arguments = dict(values)
    arguments["name"] = values.get("name") or _name_of(values["id"])
    for key in ("experiments", "metrics", "axes"):
        if key in values:
            require(isinstance(values[key], list), f"{key} must be a list, got {values[key]!r}")
            arguments[key] = tuple(values[key])
    arguments["rows"] = _listed(values.get("rows"))
    axes: tuple[str, ...] = arguments.get("axes", Exhibit.axes)
    _check_axes(kind, axes, arguments)
    arguments["paper"] = dict(_paper_values(values.get("paper") or {}, axes))
    arguments["reference"] = _parse_values(values.get("reference") or {}, axes)
    arguments["stands_for"] = {
        axis: {parse_value(axis, ours): parse_value(axis, theirs) for ours, theirs in pairs.items()}
        for axis, pairs in _known(values.get("stands_for") or {}, axes).items()
    }
    arguments["contrasts"] = tuple(_parse_contrast(c, axes) for c in values.get("contrasts") or ())
    arguments["eval_stats_cells"] = tuple(_parse_key(k, axes) for k in values.get("eval_stats_cells") or ())
    return Exhibit(**arguments)


def _name_of(exhibit: str) -> str:
    """The exhibit's number in the paper: table2 -> Table 2."""
    word = exhibit.rstrip("0123456789")
    return f"{word.replace('_', ' ').capitalize()} {exhibit[len(word) :]}".rstrip()


def _check_axes(kind: str, axes: tuple[str, ...], values: Mapping[str, Any]) -> None:
    for axis in axes:
        check_key(axis)
    for key, allowed in (
        *((key, axes) for key in ("rows", "columns", "lines")),
        ("panels", (*axes, "metric")),
    ):
        for value in _listed(values.get(key)):
            require(value in allowed, f"{key} must be one of {', '.join(sorted(allowed))}, got {value}")
    if kind == "table":
        spanned = [*values["rows"], values["columns"]]
        require(
            sorted(spanned) == sorted(axes),
            f"rows and columns must name each of the axes {', '.join(axes)} once, got {', '.join(spanned)}",
        )
    if kind == "batch_figure":
        require(axes == Exhibit.axes, f"a batch_figure has the axes norm and batch, got {', '.join(axes)}")
    if kind in _SPANNED:
        keys = [values.get(key) for key in ("columns", "lines", "panels")]
        named = {*filter(None, keys), *(values.get("reference") or {}), *_SPANNED[kind]}
        require(
            named == set(axes),
            f"axes of this {kind} must be {', '.join(sorted(named))}, which its keys span, got {', '.join(axes)}",
        )
    if kind.startswith("eval_stats"):
        missing = sorted(set(axes) - set(values["reference"]))
        require(not missing, f"reference of a {kind} must name every axis, it lacks {', '.join(missing)}")


def _listed(value: Any) -> tuple[str, ...]:
    """One name or a list of names."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _paper_values(values: Any, axes: tuple[str, ...], before: Key = ()) -> Iterator[tuple[Key, float]]:
    """The cells of a nest of mappings, one level per axis."""
    axis, rest = axes[len(before)], axes[len(before) + 1 :]
    require(isinstance(values, Mapping), f"paper must map values of {axis} at its level, got {values!r}")
    for name, value in values.items():
        key = (*before, parse_value(axis, name))
        if rest:
            yield from _paper_values(value, axes, key)
        else:
            yield key, float(value)


def _parse_contrast(values: Mapping[str, Any], axes: tuple[str, ...]) -> Contrast:
    unknown = sorted(set(values) - {"of", "minus", "at_least", "at_most"})
    require(not unknown, f"unknown key {', '.join(unknown)} in a contrast")
    return Contrast(
        of=_parse_key(values["of"], axes),
        minus=_parse_key(values["minus"], axes),
        at_least=values.get("at_least"),
        at_most=values.get("at_most"),
    )


def _parse_key(values: Mapping[str, Any], axes: tuple[str, ...]) -> Key:
    require(set(values) == set(axes), f"a cell is named by {' and '.join(axes)}, got {dict(values)}")
    return tuple(_parse_values(values, axes).values())


def _parse_values(values: Mapping[str, Any], axes: tuple[str, ...]) -> dict[str, AxisValue]:
    """Values by axis, in the order of the axes."""
    known = _known(values, axes)
    return {axis: parse_value(axis, known[axis]) for axis in axes if axis in known}


def _known(values: Mapping[str, Any], axes: tuple[str, ...]) -> Mapping[str, Any]:
    unknown = [str(axis) for axis in values if axis not in axes]
    require(not unknown, f"{', '.join(unknown)} is none of the axes {', '.join(axes)}")
    return values
