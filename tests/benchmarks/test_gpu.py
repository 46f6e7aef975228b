"""`make gpu` without a GPU: every part is run on the CPU as it is run there, and nothing that is found gets lost."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from tests.benchmarks.benchmark import load_benchmark

ROOT = Path(__file__).parents[2]
GPU = ROOT / "benchmarks" / "gpu"
PARTS = ["tests", "op", "step", "training", "smoke"]


def command(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, GPU, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def orchestrator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_main", GPU / "__main__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow  # a minute and a half of a processor
def test_the_rehearsal_runs_every_part(tmp_path: Path) -> None:
    before = sorted((ROOT / "results").rglob("*"))
    # Boxes that no machine of ours exceeds, however busy it is: what is looked at here is no time.
    done = command("--device", "cpu", "--out", tmp_path, "--budget", 6000)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    found = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert [(part["part"], part["status"]) for part in found["parts"]] == [(name, "ok") for name in PARTS]
    assert found["device"]["name"] == "cpu" and found["device"]["torch"] == torch.__version__
    figures = {figure["name"]: figure for part in found["parts"] for figure in part["figures"]}
    assert figures["tests marked gpu"]["value"] >= 20
    assert figures["training, a resume after a kill"]["value"] == 1
    assert "ms, their launches" in figures["training, gn at 2, a step"]["note"]
    for setting in ("bf16 channels_last", "fp32 NCHW", "bf16 NCHW", "fp32 channels_last"):
        assert figures[f"op, {setting}: gnexp against the floor"]["value"] > 0
        assert figures[f"op, {setting}: compiled's time over gnexp's"]["n"] == 1
    for way in ("BN, virtual workers", "BN, one worker", "GN fused", "GN native", "GN compiled"):
        assert figures[f"step, {way}, 2 x 1"]["value"] > 0
    assert all(name in done.stdout for name in figures)  # one table at the end
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(f"{name}.json" for name in PARTS), "summary.json", "tests.xml"]
    )
    assert sorted((ROOT / "results").rglob("*")) == before


@pytest.mark.slow
def test_a_part_without_time_stops_no_other(tmp_path: Path) -> None:
    done = command("--device", "cpu", "--out", tmp_path, "--budget", 5, "--parts", "training", "smoke")
    assert done.returncode == 1
    found = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert [(part["part"], part["status"]) for part in found["parts"]] == [
        ("training", "cut off"),
        ("smoke", "cut off"),
    ]
    assert "Traceback" not in done.stderr and "cut off" in done.stdout


@pytest.mark.slow
def test_without_a_gpu_one_line_says_what_to_do(tmp_path: Path) -> None:
    done = command("--out", tmp_path, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2 and not list(tmp_path.iterdir())
    assert done.stderr == (
        "gnexp: error: make gpu needs a GPU that torch can use, and there is none; "
        "`make gpu-rehearsal` runs the same parts on a CPU\n"
    )


PROGRAMS = {
    "raises": ("print('a row', flush=True); raise RuntimeError('illegal memory access')", "failed"),
    "is killed": ("import os; os.kill(os.getpid(), 9)", "failed"),
    "writes half": ("import sys; open(sys.argv[6] + '/op.json', 'w').write('{\"part\":')", "failed"),
    "hangs": ("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)", "cut off"),
}


@pytest.mark.parametrize("what", list(PROGRAMS))
def test_a_part_that_breaks_is_a_row(
    orchestrator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    program, status = PROGRAMS[what]
    monkeypatch.setattr(orchestrator, "HERE", tmp_path)
    monkeypatch.setattr(orchestrator, "GRACE", 0.2)
    (tmp_path / "part_op.py").write_text(program, encoding="utf-8")
    seconds = 1.5 if what == "hangs" else 60
    part = orchestrator.run_part("op", "cpu", time.monotonic() + seconds, tmp_path)
    assert part["status"] == status and part["message"] and part["figures"] == []
    if what == "raises":
        assert part["message"] == "RuntimeError: illegal memory access"
    assert json.loads((tmp_path / "op.json").read_text(encoding="utf-8"))["status"] == status


def test_what_was_found_before_the_end_of_the_time_stays(orchestrator: ModuleType, tmp_path: Path) -> None:
    figure = {"name": "copy", "value": 3000.0, "is_wrong": False}
    written = json.dumps({"part": "op", "status": "running", "figures": [figure], "rows": [1, 2]})
    program = (
        f"import pathlib, sys, time; pathlib.Path(sys.argv[6], 'op.json').write_text({written!r}); "
        "time.sleep(600)"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orchestrator, "HERE", tmp_path)
        (tmp_path / "part_op.py").write_text(program, encoding="utf-8")
        part = orchestrator.run_part("op", "cpu", time.monotonic() + 5, tmp_path)
    assert part["status"] == "cut off" and part["figures"] == [figure]
    assert json.loads((tmp_path / "op.json").read_text(encoding="utf-8"))["rows"] == [1, 2]


def test_the_boxes_are_at_most_the_budget(orchestrator: ModuleType) -> None:
    assert list(orchestrator.BOXES) == PARTS
    assert sum(orchestrator.BOXES.values()) == orchestrator.BUDGET == 480


def test_a_devices_name_is_a_folders(orchestrator: ModuleType) -> None:
    assert orchestrator.slug("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"


def test_launches_are_told_from_kernels() -> None:
    """As the profiler names them on a GPU: runtime calls on the host, kernels and annotations on the device."""
    load_benchmark("ops_rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        patch.syspath_prepend(GPU)
        kernels: Any = importlib.import_module("part_training")._kernels
    host, device = torch.autograd.DeviceType.CPU, torch.autograd.DeviceType.CUDA

    def event(key: str, kind: object, count: int, cpu: float, gpu: float, is_note: bool = False) -> object:
        return SimpleNamespace(
            key=key, device_type=kind, count=count, self_cpu_time_total=cpu, self_device_time_total=gpu,
            is_user_annotation=is_note,
        )  # fmt: skip

    events = [
        event("aten::conv2d", host, 3, 900.0, 0.0),
        event("cudaLaunchKernel", host, 5, 50.0, 0.0),
        event("cuLaunchKernelEx", host, 2, 20.0, 0.0),
        event("cudaDeviceSynchronize", host, 1, 4000.0, 0.0),
        event("sm90_xmma_fprop", device, 5, 0.0, 700.0),
        event("Memcpy HtoD", device, 2, 0.0, 30.0),
        event("Optimizer.step#SGD.step", device, 1, 0.0, 650.0, is_note=True),
    ]
    assert kernels(events, "cuda") == (7, 0.73, 0.07)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        torch.ones(8).add(1)
    averages = profiler.key_averages()
    assert all(hasattr(one, name) for one in averages for name in vars(events[0]))  # the names are torch's
    assert kernels(averages, "cpu")[0] >= 2


def test_the_cpus_cells_are_the_commands(orchestrator: ModuleType) -> None:
    """What a GPU's errors are compared with: the ids of the runs that a GPU would make, and none in results/runs."""
    from gnexp.compose.composer import Composer

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        patch.syspath_prepend(GPU)
        words = importlib.import_module("sizes").GPU_SIZES.train_words
    runs = json.loads((GPU / "cpu_cells.json").read_text(encoding="utf-8"))["runs"]
    wanted = {
        Composer().run([f"norm={norm}", "batch=2", "device=cuda", *words]).run_id for norm in ("bn", "gn")
    }
    assert wanted <= {run["run_id"] for run in runs}
    for norm in ("bn", "gn"):
        assert sorted(run["seed"] for run in runs if run["norm"] == norm) == [0, 1, 2]
    for run in runs:
        assert not (ROOT / "results" / "runs" / f"{run['run_id']}.json").exists()
        (env,) = run["env"]
        assert env["device"] == "cpu" and env["processor"] and len(env["commit"]) == 40
