"""Where a run computes."""

import dataclasses

import pytest
import torch

from gnexp.config import NormConfig, RunConfig
from gnexp.engine.device import choose_device, describe, memory_format, set_float32

CPU = torch.device("cpu")
BN = NormConfig(kind="bn", momentum=0.1)


def test_the_cpu_can_always_be_chosen() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said() -> None:
    with pytest.raises(ValueError, match="device=cuda:1 needs a GPU that torch can use, and there is none"):
        choose_device("cuda:1")


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
        ({"precision": "bf16", "norm": BN, "workers_per_pass": 1}, torch.channels_last),
        ({"memory_format": "channels_last"}, torch.channels_last),
    ],
)
def test_the_layout_that_a_gpu_gets(changes: dict[str, object], expected: torch.memory_format) -> None:
    run = RunConfig(**changes)  # type: ignore[arg-type]
    assert memory_format(run, torch.device("cuda")) == expected
    assert memory_format(dataclasses.replace(run, memory_format="auto"), CPU) == torch.contiguous_format
