"""The examples of docs/library.md, one after the other as a reader runs them."""

import contextlib
import io
import logging
import re
from pathlib import Path

import torch

from gnexp.experiments.run import train_run
from gnexp.runs.spec import load_spec
from tests.experiments.runs import write_spec

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def test_every_example_prints_what_the_page_says(tmp_path, monkeypatch):
    train_run(load_spec(write_spec(tmp_path / "runs")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger("gnexp"), "level", logging.NOTSET)  # which the page sets
    text = PAGE.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("```python") >= 8
    names: dict[str, object] = {}
    torch.manual_seed(0)
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, PAGE.name, "exec"), names)
        assert printed.getvalue() == expected, code
