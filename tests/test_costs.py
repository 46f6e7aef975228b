"""docs/reproduce.md's table of costs is what scripts/costs.py says."""

import re

import pytest

from gnexp.config.keys import group_options
from scripts import costs


def test_every_experiment_has_its_cost() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \|", costs.PAGE.read_text(encoding="utf-8").partition(costs.BEGIN)[2], re.MULTILINE
    )
    assert rows == costs.experiments() and sorted(rows) == group_options("experiment")


@pytest.mark.slow
def test_the_page_holds_what_the_program_says() -> None:
    text = costs.PAGE.read_text(encoding="utf-8")
    assert (
        text[text.index(costs.BEGIN) + len(costs.BEGIN) : text.index(costs.END)].strip() == costs.make_table()
    )
