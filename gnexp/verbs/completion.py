"""gnexp completion: a bash completion script."""

from __future__ import annotations

from gnexp.completion import script
from gnexp.verbs.settings import settings_of


def main(words: list[str]) -> int:
    """Prints it."""
    settings_of(words, {})
    print(script(), end="")
    return 0
