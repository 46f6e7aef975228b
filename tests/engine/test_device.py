"""Where a run computes."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from gnexp.config import RunConfig, norm_config
from gnexp.engine.device import choose_device, describe, memory_format, set_float32
from tests.composing import COMPOSER

CPU = torch.device("cpu")
BN = norm_config(kind="bn", momentum=0.1)
SYNC_BN = norm_config(kind="sync_bn", momentum=0.1)
VIDEO_MODEL = COMPOSER.run(["model=thin_i3d"]).model


def test_the_cpu_can_always_be_chosen() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said() -> None:
    with pytest.raises(ValueError, match="device=cuda:1 needs a GPU that torch can use, and there is none"):
        choose_device("cuda:1")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes torch see some GPUs, in a process that nobody but the test has started."""
    for name in ("SLURM_PROCID", "TORCHELASTIC_RUN_ID", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)

    def see(num: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: num > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: num)
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)

    return see


@pytest.mark.parametrize(("shown", "index"), [(1, 0), (4, 3)])
def test_srun_may_show_each_process_one_gpu_or_all(
    gpus: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, shown: int, index: int
) -> None:
    gpus(shown)
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert choose_device("auto") == torch.device(f"cuda:{index}")


def test_torchrun_in_a_slurm_job_shares_no_gpu(
    gpus: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes inherit SLURM_PROCID, and all see the same single GPU."""
    gpus(1)
    for name, value in (("SLURM_PROCID", "0"), ("TORCHELASTIC_RUN_ID", "x"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ValueError, match="each process on a machine needs a GPU of its own, and there are 1; lower"
    ):
        choose_device("auto")


def test_a_segment_says_what_ran_where() -> None:
    entry = describe(RunConfig(), torch.device("cpu"), {"commit": "abc", "dirty": False})
    assert entry["commit"] == "abc" and entry["torch"] == torch.__version__ and entry["threads"] >= 1
    assert all(entry[key] for key in ("started", "python", "host", "system", "processor", "cores", "device"))


@pytest.mark.parametrize(("precision", "is_allowed"), [(None, False), ("bf16", False), ("tf32", True)])
def test_float32_is_float32_unless_asked_otherwise(precision: str | None, is_allowed: bool) -> None:
    try:
        set_float32(RunConfig(precision=precision))
        assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == is_allowed
    finally:
        set_float32(RunConfig())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, torch.contiguous_format),
        ({"precision": "bf16"}, torch.channels_last),
        (
            {"precision": "bf16", "norm": BN},
            torch.contiguous_format,
        ),  # eight workers in one process are folded
        ({"precision": "bf16", "norm": BN, "processes": 8}, torch.channels_last),
        ({"precision": "bf16", "norm": SYNC_BN}, torch.channels_last),  # one batch: nothing is folded
        ({"precision": "bf16", "norm": BN, "workers_per_pass": 1}, torch.channels_last),
        ({"memory_format": "channels_last"}, torch.channels_last),
        ({"memory_format": "channels_last", "model": VIDEO_MODEL}, torch.channels_last_3d),
        ({"precision": "bf16", "model": VIDEO_MODEL}, torch.channels_last_3d),
        ({"model": VIDEO_MODEL}, torch.contiguous_format),
    ],
)
def test_the_layout_that_a_gpu_gets(changes: dict[str, object], expected: torch.memory_format) -> None:
    run = RunConfig(**changes)  # type: ignore[arg-type]
    assert memory_format(run, torch.device("cuda")) == expected
    assert memory_format(dataclasses.replace(run, memory_format="auto"), CPU) == torch.contiguous_format
