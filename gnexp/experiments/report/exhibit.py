"""What an exhibit asks for: the schema of conf/exhibit/, checked before anything is read or drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, int]  # a cell: norm as the grid spells it, images per worker

METRICS = {"worker0": "val/top1_error", "mean": "val/top1_error_mean", "precise": "val/top1_error_precise"}
VERIFIED = {
    "two": "read in two renderings of the paper",
    "one": "read in one rendering of the paper",
    "secondary": "from a secondary note that agrees with all that can be checked",
}
NORM_NAMES = {
    "bn": "batch normalization",
    "ln": "layer normalization",
    "in": "instance normalization",
    "gn": "group normalization",
}
_AXES = {"norm", "batch"}
# What each kind must say beside the keys that all of them share.
_KINDS = {
    "table": {"rows", "columns", "reference", "paper"},
    "batch_figure": {"lines", "reference", "paper"},
    "epoch_figure": {"lines", "panels", "metrics"},
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
    """A table or figure of the paper: which experiments, which cells, the paper's values and their source."""

    id: str
    order: int  # place in the report
    kind: str
    title: str
    source: str
    verified: str
    experiments: tuple[str, ...]
    control: str | None = None  # experiment under which the effect is expected to vanish; small scale only
    rows: str | None = None
    columns: str | None = None
    lines: str | None = None
    panels: str | None = None
    metrics: tuple[str, ...] = ()  # of the per-epoch series
    reference: Key | None = None  # effects are error minus this cell's error
    eval_stats: str = "worker0"
    paper: dict[Key, float] = field(default_factory=dict)  # top-1 error in percent
    contrasts: tuple[Contrast, ...] = ()
    eval_stats_cells: tuple[Key, ...] = ()

    @property
    def metric(self) -> str:
        """Metric key of the error that this exhibit shows."""
        return METRICS[self.eval_stats]

    @property
    def name(self) -> str:
        """The exhibit's number in the paper: table2 -> Table 2."""
        word = self.id.rstrip("0123456789")
        return f"{word.capitalize()} {self.id[len(word) :]}"


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
    _require(not unknown, f"unknown key {', '.join(unknown)}; known are {', '.join(sorted(fields))}")
    kind = values.get("kind")
    _require(kind in _KINDS, f"kind must be one of {', '.join(_KINDS)}, got {kind}")
    needed = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING} | _KINDS[
        str(kind)
    ]
    missing = sorted(key for key in needed if not values.get(key))
    _require(not missing, f"a {kind} needs {', '.join(missing)}")
    arguments = dict(values)
    for key in ("experiments", "metrics"):
        _require(isinstance(values.get(key, []), list), f"{key} must be a list, got {values.get(key)!r}")
        arguments[key] = tuple(values.get(key, ()))
    _require(
        values["verified"] in VERIFIED, f"verified must be {', '.join(VERIFIED)}, got {values['verified']}"
    )
    stats = values.get("eval_stats", "worker0")
    _require(stats in METRICS, f"eval_stats must be {', '.join(METRICS)}, got {stats}")
    for key, allowed in (
        ("rows", _AXES),
        ("columns", _AXES),
        ("lines", _AXES),
        ("panels", _AXES | {"metric"}),
    ):
        value = values.get(key)
        _require(
            value is None or value in allowed,
            f"{key} must be one of {', '.join(sorted(allowed))}, got {value}",
        )
    _require(
        values.get("rows") is None or values["rows"] != values.get("columns"),
        f"rows and columns must differ, both are {values.get('rows')}",
    )
    arguments["paper"] = {
        (str(norm), int(batch)): float(error)
        for norm, errors in (values.get("paper") or {}).items()
        for batch, error in errors.items()
    }
    arguments["reference"] = _parse_key(values["reference"]) if values.get("reference") else None
    arguments["contrasts"] = tuple(_parse_contrast(contrast) for contrast in values.get("contrasts") or ())
    arguments["eval_stats_cells"] = tuple(_parse_key(key) for key in values.get("eval_stats_cells") or ())
    return Exhibit(**arguments)


def _parse_contrast(values: Mapping[str, Any]) -> Contrast:
    unknown = sorted(set(values) - {"of", "minus", "at_least", "at_most"})
    _require(not unknown, f"unknown key {', '.join(unknown)} in a contrast")
    return Contrast(
        of=_parse_key(values["of"]),
        minus=_parse_key(values["minus"]),
        at_least=values.get("at_least"),
        at_most=values.get("at_most"),
    )


def _parse_key(values: Mapping[str, Any]) -> Key:
    _require(set(values) == _AXES, f"a cell is named by norm and batch, got {dict(values)}")
    return str(values["norm"]), int(values["batch"])


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def norm_title(norm: str) -> str:
    """A norm as figures and tables write it: bn -> BN."""
    return norm.upper() if len(norm) <= 3 else norm


def cell_title(key: Key) -> str:
    """A cell in words, short: BN at 32."""
    return f"{norm_title(key[0])} at {key[1]}"
