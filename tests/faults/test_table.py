"""docs/reliability.md names every fault once, by its number, and tests that exist."""

import ast
import re

from tests.faults.started import ROOT


def test_every_fault_has_its_row_and_every_row_tests_that_exist() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|.*", page, re.MULTILINE)
    assert [int(number) for number in rows] == list(range(1, 26))
    for line in page.splitlines():
        if re.match(r"\| \d", line):
            assert re.findall(r"`(tests/[^`]+)::(\w+)`", line), line
    for path, name in re.findall(r"`(tests/[^`]+)::(\w+)`", page):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (
            f"{path}::{name}"
        )
