"""A part of a hand-written page that a program writes: what stands between two marks."""

from __future__ import annotations

README = "README.md"
START, END = "<!-- scoreboard: written by gnexp report -->", "<!-- end of the scoreboard -->"


def mark(text: str, part: str, name: str) -> str | None:
    """The page with the part between its marks; None where it has neither.

    Raises:
        ValueError: one of the marks without the other, or twice, or in the wrong order.
    """
    if START not in text and END not in text:
        return None
    before, _, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not end or START in rest or END in after or END in before:
        raise ValueError(
            f"{name} must have {START} once, and after it {END} once; write both, each on its own line"
        )
    return f"{before}{START}\n\n{part}\n{END}{after}"
