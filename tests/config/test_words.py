"""Counts and durations in words."""

import pytest

from gnexp.config.words import counted, duration, read_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (5, "5 s"),
        (89, "89 s"),
        (300, "5 min"),
        (7200, "2 h"),
        (51_245, "14.2 h"),
        (3e5, "3.47 days"),
        (2e8, "2315 days"),
    ],
)
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text


def test_one_is_no_plural():
    assert [counted(n, "epoch") for n in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]
    assert counted(2, "process") == "2 processes"


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86400), ("90min", 5400), ("1.5h", 5400), ("3600S", 3600), ("2d", 172800)]
)
def test_a_duration_as_a_command_line_has_it(text, seconds):
    assert read_duration("budget", text) == seconds


@pytest.mark.parametrize("text", ["24", "h", "0h", "-1h", "a day", ""])
def test_what_is_no_duration_is_one_line(text):
    with pytest.raises(ValueError, match="^budget must be a time such as 24h, 90min, 3600s or 2d, got "):
        read_duration("budget", text)
