"""The GN op's rows, and what they come to: gnexp's time against the others', and against the floor."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import ops_gpu
from part import Part, run_part


def measure(part: Part) -> None:
    """Measures the op on every shape, dtype and layout that the time reaches."""
    rows: list[dict[str, Any]] = []
    sizes = part.sizes
    for row in ops_gpu.rows(
        part.device,
        sizes.repeats,
        sizes.op_shapes,
        seconds=0.9 * part.seconds_left,
        compiler=sizes.compiler,
        settings=sizes.op_settings,
    ):
        part.row(row)
        rows.append(row)
    copy, *rest = rows
    speed = copy["gb_per_s"]
    part.figure(
        "copy", speed["median"], "GB/s", low=speed["low"], high=speed["high"], n=copy["n"], note="read and written"
    )  # fmt: skip
    for setting in sizes.op_settings:
        _say_setting(part, str(setting), [row for row in rest if row["setting"] == str(setting)])


def _say_setting(part: Part, setting: str, rows: Sequence[dict[str, Any]]) -> None:
    """The figures of one dtype and layout."""
    timed = [row for row in rows if "cold_ms" in row]
    ours = {_case(row): row for row in timed if row["column"] == "gnexp"}
    if ours:
        _say(part, f"op, {setting}: gnexp against the floor", "x", [row["x_floor"] for row in ours.values()])
        _say(part, f"op, {setting}: gnexp", "GB/s", [row["gb_per_s"] for row in ours.values()])
    for column in dict.fromkeys(row["column"] for row in timed if row["column"] != "gnexp"):
        pairs = [(row, ours.get(_case(row))) for row in timed if row["column"] == column]
        ratios = [theirs["cold_ms"] / own["cold_ms"] for theirs, own in pairs if own]
        if ratios:
            _say(part, f"op, {setting}: {column}'s time over gnexp's", "x", ratios)
    for row in rows:
        if "wrong" in row:
            name = f"op, {setting}: {row['column']} of {row['op']} on {row['shape']}"
            part.figure(name, None, note=row["wrong"], is_wrong=True)
    left_out = sum("left_out" in row for row in rows)
    if left_out:
        part.figure(f"op, {setting}", None, note=f"{left_out} of the shapes left out: no time left")


def _case(row: dict[str, Any]) -> tuple[object, ...]:
    return row["op"], *row["shape"], row["groups"]


def _say(part: Part, name: str, unit: str, values: list[float]) -> None:
    part.figure(
        name,
        round(statistics.median(values), 3),
        unit,
        low=round(min(values), 3),
        high=round(max(values), 3),
        n=len(values),
        note="median, lowest and highest over shapes",
    )


if __name__ == "__main__":
    run_part("op", measure)
