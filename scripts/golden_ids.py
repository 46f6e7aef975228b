"""Renews tests/contracts/golden_ids.json: the run_ids of every experiment at every scale, which published results keep.

    python scripts/golden_ids.py       or: make golden

After a new experiment, cell or seed. An id of which results/runs holds a result may not go: then a change has given a
run another identity, and its result would be found no more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from gnexp.compose.composer import Composer
from gnexp.config.keys import group_options
from gnexp.system.exit_codes import EXIT_DONE, EXIT_USER_ERROR
from gnexp.system.files import write_text

ROOT = Path(__file__).resolve().parent.parent
GOLDEN, RUNS = ROOT / "tests" / "contracts" / "golden_ids.json", ROOT / "results" / "runs"
_A_LINE = 6  # ids


def read_golden() -> dict[str, list[str]]:
    """Scale and experiment, with a blank between -> the ids of its runs."""
    found: dict[str, list[str]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return found


def expand_all() -> dict[str, list[str]]:
    """The same as conf/ and the code have it now."""
    composer = Composer()
    return {
        f"{scale} {expansion.experiment}": [run.run_id for cell in expansion.cells for run in cell.runs]
        for scale in group_options("scale")
        for expansion in composer.expansions("all", scale)
    }


def lost(old: Mapping[str, list[str]], new: Mapping[str, list[str]]) -> list[str]:
    """The ids with a result in results/runs that are old and not new."""
    kept = {run_id for ids in new.values() for run_id in ids}
    gone = {run_id for ids in old.values() for run_id in ids} - kept
    return sorted(run_id for run_id in gone if (RUNS / f"{run_id}.json").is_file())


def as_text(ids: Mapping[str, list[str]]) -> str:
    """The file's text, a few ids a line."""
    blocks = []
    for question, found in sorted(ids.items()):
        quoted = [json.dumps(run_id) for run_id in found]
        lines = [", ".join(quoted[start : start + _A_LINE]) for start in range(0, len(quoted), _A_LINE)]
        blocks.append(f" {json.dumps(question)}: [\n  " + ",\n  ".join(lines) + "\n ]")
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def main() -> int:
    """Writes the file and says what is new and what went; returns the exit code."""
    old, new = read_golden(), expand_all()
    if gone := lost(old, new):
        print(
            f"golden_ids: error: {len(gone)} ids that results/runs holds would go: {', '.join(gone[:5])}; "
            "let the change leave them as they are (a new field is None by default), or take their results out of "
            "results/ first",
            file=sys.stderr,
        )
        return EXIT_USER_ERROR
    before, after = ({run_id for ids in each.values() for run_id in ids} for each in (old, new))
    write_text(GOLDEN, as_text(new))
    print(f"{GOLDEN.relative_to(ROOT)}: {len(after - before)} ids are new, {len(before - after)} went")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
