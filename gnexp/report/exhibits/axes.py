"""How a cell is named: the axes that an exhibit spans, the values along them, and how both are written."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gnexp.config import NormConfig, RunConfig, fields
from gnexp.config.experiment import AxisValue
from gnexp.config.keys import GROUPS, title_of, type_of
from gnexp.config.kinds import classes_of
from gnexp.config.places import PLACES

Key = tuple[AxisValue, ...]  # a cell: its values in the order of the exhibit's axes

NORMS = {  # label without numbers -> how that norm is called and drawn
    label: name for cls in classes_of("norm").values() for label, name in cls.names.items()
}
NORM_NAMES = {label: name.words for label, name in NORMS.items()}
# Of norms that a reader of the paper may not know: what they are.
NORM_LEGENDS = {label: name.legend for label, name in NORMS.items() if name.legend}
# Axis -> how one value of it is called where its title and the value beside each other read badly.
_VALUES = {
    "batch": "{} images per worker",
    "norm.num_groups": "G = {}",
    "norm.channels_per_group": "C/G = {}",
    "data.clip_length": "{} frames",
    "data.exposure": "exposure {}",
    "model.fpn_norm": "{} in the FPN",
    "model.box_norm": "{} in the box head",
    "model.mask_norm": "{} in the mask head",
}
_HEAD_NORMS = tuple(f"model.{name}" for name in PLACES)  # beside the backbone's
_PLACES = {"model": "in", "data": "on", "recipe": "with"}


def parse_value(axis: str, value: Any) -> AxisValue:
    """A value of an axis in the type of its field: 32 for batch, bn for norm; none where a field has no value.

    Raises:
        ValueError: a value that the field cannot take.
    """
    kind = _type_of(axis)
    if value is None or value == "null":  # a grid's null has been spelled
        return "none"
    try:
        return kind(value)
    except (ValueError, TypeError):
        raise ValueError(f"{axis} takes {kind.__name__} values, got {value!r}") from None


def value_of(run: RunConfig, axis: str) -> AxisValue:
    """Where a run stands on an axis; none of a field that its kind does not have."""
    if axis == "norm":
        return run.norm.label
    value: Any = functools.reduce(fields.value_of, axis.split("."), run)
    if isinstance(value, NormConfig) and axis in _HEAD_NORMS:
        return value.word
    return parse_value(axis, value.name if axis in GROUPS else value)


def axis_title(axis: str) -> str:
    """An axis in words, over its values."""
    return axis if axis in GROUPS else title_of(axis)


def value_title(axis: str, value: AxisValue) -> str:
    """A value that stands alone: BN, 32 images per worker, G = 8."""
    short = short_title(axis, value)
    if axis in _VALUES:
        return _VALUES[axis].format(short)
    return short if axis in GROUPS else f"{axis_title(axis)} {short}"


def short_title(axis: str, value: AxisValue) -> str:
    """A value under its axis' name: BN, 32, 8."""
    return norm_title(str(value)) if axis in ("norm", *_HEAD_NORMS) else _number(value)


def norm_title(norm: str) -> str:
    """A norm as figures and tables write it: bn -> BN, frozen_bn -> BN*."""
    return NORMS[norm].title if norm in NORMS else norm


def cell_title(values: Mapping[str, AxisValue]) -> str:
    """A cell in words, short: BN at 32; G = 8; BN at 2 in thin_resnet_deep."""
    rest = dict(values)
    words = _norm_at_batch(rest, norm_title)
    if words:
        heads = [value_title(axis, rest.pop(axis)) for axis in _HEAD_NORMS if axis in rest]
        words += f" with {' and '.join(heads)}" if heads else ""
        # A network and data that stand beside a norm are where it works.
        words += "".join(f" {where} {rest.pop(axis)}" for axis, where in _PLACES.items() if axis in rest)
    return ", ".join([words] * bool(words) + [value_title(axis, value) for axis, value in rest.items()])


def cell_spelling(values: Mapping[str, AxisValue]) -> str:
    """A cell as the grid spells it: bn at 32; norm.num_groups=8."""
    rest = dict(values)
    words = _norm_at_batch(rest, str)
    spelled = [_number(v) if axis in GROUPS else f"{axis}={_number(v)}" for axis, v in rest.items()]
    return ", ".join([words] * bool(words) + spelled)


def axis_values(keys: Iterable[Key], place: int) -> list[AxisValue]:
    """The values at one place of the keys, in the order of the grid."""
    return list(dict.fromkeys(key[place] for key in keys))


def _norm_at_batch(values: dict[str, AxisValue], say: Callable[[str], str]) -> str:
    """Takes norm, and batch if norm is there, off the values: they go together and come first."""
    if "norm" not in values:
        return ""
    norm = say(str(values.pop("norm")))
    return f"{norm} at {values.pop('batch')}" if "batch" in values else norm


@functools.cache
def _type_of(axis: str) -> type[str] | type[int] | type[float]:
    """The type of a field's values; str for a group, whose values are its options."""
    hint = str if axis in GROUPS else type_of(axis)
    for kind in (int, float):
        if kind in (typing.get_args(hint) or (hint,)):
            return kind
    return str


def _number(value: AxisValue) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
