"""Stands in for gnexp.launch.trainer where a test is about the parent: reads the spec, does as told, needs no torch.

FAKE_TRAINER says what it does: "finish", "fail" (exit code 2 with a line), "crash", "kill", "wait" (for a signal);
"fail bn" and the like fail for that label alone.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from gnexp.config import from_dict, science
from gnexp.runs.result import Result

spec_path = Path(sys.argv[2])
spec = json.loads(spec_path.read_text(encoding="utf-8"))
run = from_dict(spec["config"])
folder = spec_path.parent
what, _, only = os.environ.get("FAKE_TRAINER", "finish").partition(" ")
if only and only not in run.label:
    what = "finish"
with (folder / "seen.jsonl").open("a", encoding="utf-8") as file:
    environment = {
        name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "GNEXP_QUIET")
    }
    line = {"arguments": sys.argv[1:], "threads": run.threads, "time": time.time(), **environment}
    file.write(json.dumps(line) + "\n")
if sys.argv[1] == "eval":
    print("worker0\ttop1_error\t12.3456\nmean\ttop1_error\t12.0000")
    sys.exit(0)
print("hello from the trainer")
if what == "fail":
    print("gnexp: error: the layer is odd", file=sys.stderr)
    sys.exit(2)
if what == "crash":
    raise RuntimeError("boom")
if what == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "wait":
    caught = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: caught.append(number))
    (folder / "waiting").write_text(str(os.getpid()), encoding="utf-8")
    while not caught:
        time.sleep(0.02)
    time.sleep(0.3)  # a second signal for the same key would be counted
    (folder / "caught.json").write_text(json.dumps(caught), encoding="utf-8")
    sys.exit(130 if caught[0] == signal.SIGINT else 75)
series = [{"epoch": epoch, "val/top1_error": 20.0 - epoch} for epoch in range(1, run.recipe.epochs + 1)]
(folder / "metrics.jsonl").write_text(
    "".join(json.dumps(record) + "\n" for record in series), encoding="utf-8"
)
if what != "diverge":
    (folder / "weights.pt").write_text("what a run that starts from this one would read", encoding="utf-8")
Result(
    run_id=run.run_id,
    label=run.label,
    scale=run.scale,
    status="diverged" if what == "diverge" else "finished",
    science=science(run),
    metrics={} if what == "diverge" else {"val/top1_error": series[-1]["val/top1_error"]},
    series=series,
    num_parameters=1,
    data_fingerprint="0",
    env=[],
    seconds=2.0,
).save(folder / "result.json")
