"""The tests marked gpu, those that failed last time first, in as many processes as pytest-xdist allows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path

from part import Part, run_part

ROOT = Path(__file__).resolve().parents[2]
MARK = "mark.gpu"
SECONDS_TO_END = 8.0  # that pytest gets to write what it has, once it is interrupted
MOST_NAMED = 20


def measure(part: Part) -> None:
    """Runs them and says which failed."""
    name = "tests marked gpu"
    if find_spec("pytest") is None:
        part.figure(name, None, note="pytest is not installed here: nothing was tested", is_wrong=True)
        return
    junit = part.out / "tests.xml"
    junit.unlink(missing_ok=True)
    process = subprocess.Popen(
        _command(part, junit), cwd=ROOT, env=_environment(part), stdout=subprocess.PIPE, text=True, errors="replace"
    )  # fmt: skip
    is_cut = False
    try:
        said, _ = process.communicate(timeout=max(1.0, part.seconds_left - SECONDS_TO_END))
    except subprocess.TimeoutExpired:
        is_cut = True
        process.send_signal(signal.SIGINT)
        try:
            said, _ = process.communicate(timeout=SECONDS_TO_END - 2)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    print(said)
    if not junit.exists():
        last = [line for line in said.splitlines() if line.strip()][-1:]
        part.figure(name, None, note=f"pytest wrote nothing: {' '.join(last)[:300]}", is_wrong=True)
        return
    _read(part, name, junit, is_cut)


def _command(part: Part, junit: Path) -> list[str]:
    files = sorted(
        str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/test_*.py") if MARK in _text(path)
    )
    command = [
        sys.executable, "-m", "pytest", *files, "-q", "-m", "gpu", "--failed-first", f"--junitxml={junit}",
        # The project's own words may name plugins that are not there, and its least version of pytest is no need here.
        "-o", "addopts=", "-o", "minversion=7.0", "--import-mode=importlib", "--strict-markers",
        "--continue-on-collection-errors", "-o", f"cache_dir={ROOT / 'build' / f'gpu-tests-{part.device.type}'}",
    ]  # fmt: skip
    if find_spec("xdist") is not None:
        command += ["-n", str(part.sizes.test_processes)]
    return command


def _environment(part: Part) -> dict[str, str]:
    """Without what a pytest around this one has set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**kept, "GNEXP_GPU_TESTS": part.device.type}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _read(part: Part, name: str, junit: Path, is_cut: bool) -> None:
    """The counts, and a line a failure."""
    passed, skipped, failed = 0, 0, []
    for case in ElementTree.parse(junit).iter("testcase"):
        fault = next((child for child in case if child.tag in ("failure", "error")), None)
        if fault is not None:
            title = f"{case.get('classname', '')}::{case.get('name', '')}"
            failed.append((title, " ".join((fault.get("message") or "").split())[:300]))
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    note = f"{len(failed)} failed, {skipped} skipped" + (", the rest had no time left" if is_cut else "")
    part.row(
        {"rows": "tests", "passed": passed, "skipped": skipped, "failed": dict(failed), "is_cut": is_cut}
    )
    part.figure(
        name, passed, "passed", n=passed + len(failed), note=note, is_wrong=bool(failed) or not passed
    )
    for title, message in failed[:MOST_NAMED]:
        part.figure(f"test {title}", None, note=message, is_wrong=True)


if __name__ == "__main__":
    run_part("tests", measure)
