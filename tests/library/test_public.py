"""What `import gnexp` gives and costs, and that its types reach other people's code."""

import subprocess
import sys
from pathlib import Path

import pytest

import gnexp

ROOT = Path(__file__).parents[2]


def test_all_that_is_public_is_there_and_told():
    for name in gnexp.__all__:
        assert getattr(gnexp, name) is getattr(gnexp, name)
        assert name == "__version__" or getattr(gnexp, name).__doc__, name
    assert set(gnexp.__all__) <= set(dir(gnexp)) and gnexp.__all__ == sorted(gnexp.__all__)
    with pytest.raises(AttributeError, match="module 'gnexp' has no attribute 'konvert'"):
        gnexp.konvert  # noqa: B018


def test_importing_it_and_looking_at_it_takes_no_torch():
    code = "import sys, gnexp; dir(gnexp); gnexp.__all__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "torchvision", "numpy"}


USER = """
from typing import assert_type

import torch
from torch import nn

import gnexp


class Mine(nn.Module):
    pass


assert_type(gnexp.convert(Mine(), norm="gn"), Mine)
assert_type(gnexp.converted(Mine()).layers[0].num_groups, int | None)
assert_type(gnexp.GroupNorm(2, 8), gnexp.GroupNorm)
assert_type(gnexp.group_norm(torch.ones(2, 8, 3), 2), torch.Tensor)
assert_type(gnexp.load("1"), gnexp.Predictor)
assert_type(gnexp.load("1").class_names, tuple[str, ...] | None)
reveal_type(gnexp.convert(Mine()))
"""


@pytest.mark.slow
def test_its_types_hold_in_a_strict_users_code(tmp_path):
    (tmp_path / "user.py").write_text(USER, encoding="utf-8")
    words = ["-m", "mypy", "--strict", "--no-incremental", "--follow-imports=silent", "user.py"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert 'Revealed type is "user.Mine"' in done.stdout
