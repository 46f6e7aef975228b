"""A part of a hand-written page that a program writes: what stands between two marks."""

from __future__ import annotations

README = "README.md"


def marks_of(name: str) -> tuple[str, str]:
    """The marks of a part by the file that it is from, so that another results/ beside the page leaves it alone."""
    return f"<!-- from {name}: written by gnexp report -->", f"<!-- end of {name} -->"


def mark(text: str, part: str, name: str, page: str) -> str | None:
    """The page's text with the part between its marks; None where it has neither. name: the file it is from.

    Raises:
        ValueError: one of the marks without the other, or twice, or in the wrong order.
    """
    start, end = marks_of(name)
    if start not in text and end not in text:
        return None
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found or start in rest or end in after or end in before:
        raise ValueError(
            f"{page} must have {start} once, and after it {end} once; write both, each on its own line"
        )
    return f"{before}{start}\n\n{part}\n{end}{after}"
