"""Where a run computes."""

import pytest
import torch

from gnexp.config import RunConfig
from gnexp.engine.device import choose_device, describe


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
