"""All that a GPU can tell about gnexp, in one command: `make gpu`, and on a CPU `make gpu-rehearsal`.

    python benchmarks/gpu [--device cuda] [--budget 480] [--out DIR] [--commit ID]

Runs the parts one after the other, each in a process of its own that is ended when its time is over; what a part leaves
of its time goes to those behind it. A part writes DIR/PART.json as it goes, and one that fails stops no other.
DIR/summary.json holds the device, the commit and every part's figures, and is written anew after each part; the table
is printed last. Exit codes: 0; 1 when a part failed, ran out of time or found something wrong; 2 for a mistake of the
user's; 130 for Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gnexp.system.files import write_json

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUDGET = 480.0  # seconds of all parts
BOXES = {"tests": 150.0, "op": 120.0, "step": 90.0, "training": 90.0, "smoke": 30.0}  # of BUDGET
LEAST_BUDGET = 5.0
GRACE = 3.0  # seconds that an ended process gets to leave
OK, WRONG, FAILED, CUT, RUNNING, PENDING = "ok", "wrong", "failed", "cut off", "running", "pending"
SUMMARY, FORMAT = "summary.json", 1


def main() -> int:
    """Runs all parts and prints the table; returns the exit code."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    scale = options.budget / BUDGET
    device = _device(options.device)
    code = {"commit": device.pop("commit"), "dirty": device.pop("dirty")}
    out: Path = options.out or ROOT / "results" / "bench" / "gpu" / slug(str(device["name"]))
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {
        "format": FORMAT,
        "device": device,
        **({**code, "commit": options.commit} if options.commit else code),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "budget": options.budget,
        "parts": [{"part": name, "status": PENDING, "figures": []} for name in options.parts],
    }
    for stale in (*(out / f"{name}.json" for name in BOXES), out / SUMMARY):
        stale.unlink(missing_ok=True)  # an earlier run's figures are not this one's
    write_json(out / SUMMARY, found)
    end = start
    for index, name in enumerate(options.parts):
        end += scale * BOXES[name]
        print(f"\n== {name}: {max(0.0, end - time.monotonic()):.0f} s", flush=True)
        found["parts"][index] = run_part(name, options.device, end, out)
        found["seconds"] = round(time.monotonic() - start, 1)
        write_json(out / SUMMARY, found)
    print_table(found)
    print(f"\nall of it: {out}")
    return int(any(part["status"] != OK for part in found["parts"]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--budget", type=float, default=BUDGET, help="seconds of all parts; scales each one's"
    )
    parser.add_argument("--out", type=Path, help="folder of what is found; results/bench/gpu/<device>")
    parser.add_argument("--commit", help="of the code, where it was carried without its .git")
    parser.add_argument("--parts", nargs="+", choices=list(BOXES), default=list(BOXES))
    options = parser.parse_args()
    if not options.budget >= LEAST_BUDGET:
        parser.error(f"--budget must be at least {LEAST_BUDGET:g} seconds, got {options.budget:g}")
    options.parts = [name for name in BOXES if name in options.parts]
    if options.device == "cpu" and options.out is None:
        parser.error("--device cpu is a rehearsal: give its folder with --out")
    return options


def slug(name: str) -> str:
    """A device's name as a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _device(kind: str) -> dict[str, Any]:
    """What the parts will run on; asked of a process of its own, since torch would hold the device's memory here."""
    asked = subprocess.run(
        [sys.executable, str(HERE / "machine.py"), kind],
        env=_environment(kind),
        capture_output=True,
        text=True,
        errors="replace",
    )
    if asked.returncode:
        raise SystemExit(_fail(_last_line(asked.stderr) or "the device cannot be asked"))
    found: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
    return found


def _fail(message: str) -> int:
    print(f"gnexp: error: {message}", file=sys.stderr)
    return 2


def _environment(kind: str) -> dict[str, str]:
    """This tree's code and benchmarks, and Triton's interpreter where there is no GPU."""
    path = [str(ROOT), str(ROOT / "benchmarks"), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "TRITON_INTERPRET": "1" if kind == "cpu" else "0",
    }
    # One thread on a CPU: what is rehearsed there is small. On a GPU the host's threads are torch's own choice.
    return {**os.environ, **own, **({"OMP_NUM_THREADS": "1"} if kind == "cpu" else {})}


def run_part(name: str, kind: str, end: float, out: Path) -> dict[str, Any]:
    """Runs one part until it is done or its time is over; returns what the summary keeps of it."""
    start = time.monotonic()
    seconds = end - start
    path = out / f"{name}.json"
    if seconds < 1:
        return {"part": name, "status": CUT, "message": "no time was left", "seconds": 0.0, "figures": []}
    words = [
        str(HERE / f"part_{name}.py"),
        "--device",
        kind,
        "--seconds",
        f"{seconds:.1f}",
        "--out",
        str(out),
    ]
    is_cut = False
    with tempfile.TemporaryFile() as errors:  # no pipe: whoever outlives the part would keep it open
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=_environment(kind),
            stderr=errors,
            start_new_session=True,  # so that what a part starts ends with it
        )
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            is_cut = True
        finally:
            _end_group(process)
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    sys.stderr.write(said)
    found = _read(path)
    status, message = found.get("status", FAILED), ""
    if is_cut:
        status, message = CUT, f"not done after {seconds:.0f} s"
    elif process.returncode:
        status, message = FAILED, _last_line(said) or f"exit code {process.returncode}"
    elif status not in (OK, WRONG):
        status, message = FAILED, "it ended without a word"
    part = {
        "part": name, "status": status, "message": message, "seconds": round(time.monotonic() - start, 1),
        "figures": found.get("figures", []),
    }  # fmt: skip
    with contextlib.suppress(OSError):
        write_json(path, {**found, **part})
    return part


def _end_group(process: subprocess.Popen[str]) -> None:
    """Ends a part and all that it has started; after a part that is done there is nobody left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[:300]


def print_table(found: dict[str, Any]) -> None:
    """Every part's figures."""
    device = found["device"]
    words = [f"{key} {device[key]}" for key in ("python", "torch", "cuda", "triton") if device.get(key)]
    print(f"\n{device['name']}: {', '.join(words)}; commit {found['commit']}; {found['seconds']:.0f} s")
    print(f"{'part':9} {'status':8} {'seconds':>7}")
    for part in found["parts"]:
        print(f"{part['part']:9} {part['status']:8} {part['seconds']:>7} {part['message']}")
    print()
    for line in table([figure for part in found["parts"] for figure in part["figures"]]):
        print(line)


def table(figures: Sequence[dict[str, Any]]) -> list[str]:
    """A line a figure, in columns."""
    rows = [("what", "value", "low", "high", "n", "note")]
    for figure in figures:
        value = "WRONG" if figure["is_wrong"] and figure["value"] is None else _number(figure["value"])
        mark = "WRONG " if figure["is_wrong"] and figure["value"] is not None else ""
        rows.append(
            (
                figure["name"], f"{value} {figure['unit']}".strip(), _number(figure["low"]), _number(figure["high"]),
                _number(figure["n"]), mark + figure["note"],
            )
        )  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 5)), row[5]]).rstrip()
        for row in rows
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}" if abs(value) < 1e6 else f"{value:.3g}"


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    raise SystemExit(code)
