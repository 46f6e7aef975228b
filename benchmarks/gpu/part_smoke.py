"""`gnexp train scale=smoke` of detection and of video, where their packages are there."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from part import Part, run_part

from gnexp.runs.directory import run_dirs
from gnexp.runs.result import finished, headline


def measure(part: Part) -> None:
    """Trains both."""
    tasks = {
        "detection": (part.sizes.detection_words, ("faster_coco_eval", "torchvision", "PIL")),
        "video": (part.sizes.video_words, ("av",)),
    }
    for task, (words, packages) in tasks.items():
        _smoke(part, task, words, [name for name in packages if find_spec(name) is None])


def _smoke(part: Part, task: str, sized: tuple[str, ...], missing: list[str]) -> None:
    name = f"smoke, {task}"
    if missing:
        part.figure(name, None, note=f"left out: {', '.join(missing)} not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        words = ["norm=gn", *sized, f"device={part.device.type}", f"data.root={folder}/data"]
        command = [sys.executable, "-m", "gnexp", "train", *words, f"runs_dir={folder}/runs"]
        start = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        seconds = round(time.monotonic() - start, 1)
        results = list(filter(None, map(finished, run_dirs(Path(folder) / "runs"))))
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        if done.returncode or not results:
            part.figure(name, None, note=said[-1][:300] if said else "no word", is_wrong=True)
            return
        result = results[0]
        part.row({"rows": "smoke", "task": task, "metrics": result.metrics, "seconds": seconds})
        part.figure(name, seconds, "s", n=1, note=f"finished, {headline(result)}; the score means nothing")


if __name__ == "__main__":
    run_part("smoke", measure)
