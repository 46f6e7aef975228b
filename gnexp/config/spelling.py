"""How values are written on a command line, and how the text of a key that holds text is read.

The quotes and escapes are Hydra's. What Hydra would take for a number or a truth value stays the text that it is
(2024_1, 1e5, true), and a path needs quotes for its commas alone. Every verb reads text so, Hydra's own or not.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from typing import Any

# What needs no quotes, and would be no number, truth value or null if Hydra read it by itself.
_PLAIN = re.compile(r"(?!(?:true|false|null|nan|inf)$)[\w/.][\w./@:+-]*", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d[\d_]*)?\.?[\d_]*(e[+-]?[\d_]+)?|[+-]?(nan|inf)", re.IGNORECASE)
_HYDRAS = re.compile(
    r"[\[{].*|[A-Za-z_]\w*\(.*\)", re.DOTALL
)  # lists, dicts and functions such as choice(a,b)
_INTERPOLATION = re.compile(r"(?<!\\)(?:\\\\)*\$\{")
_WRITTEN = ("runs_dir", "results_dir")
_ESCAPED = "\\()[]{}:=, \t"  # what a backslash makes text of outside quotes


def spell(value: Any) -> str:
    """A value as an override spells it, so that whatever is text is read back as the same text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ",".join(spell(v) for v in value) + "]"
    if not isinstance(value, str) or (_PLAIN.fullmatch(value) and not _NUMBER.fullmatch(value)):
        return str(value)
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # else OmegaConf looks for what is between the braces
    text = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)\Z", r"\1\1", text) + '"'


def quoting(key: str, value: str) -> str:
    """The word to type, shell quotes included, where all of `value` is one text."""
    text = spell(value)
    return shlex.quote(f"{key}={text if text.startswith(chr(34)) else f'{chr(34)}{text}{chr(34)}'}")


def read_texts(raw: str) -> list[str | None] | None:
    """The texts that the value of a text key lists, one or, with commas between them, several.

    Args:
        raw: what follows the "=".

    Returns:
        The texts, None for null. No list at all where Hydra has to read the value: a list, a dict, a function, or an
        interpolation such as ${oc.env:HOME}.

    Raises:
        ValueError: a quote that is not closed, or something behind one that is; with what is wrong alone.
    """
    if _HYDRAS.fullmatch(raw.strip()) or _INTERPOLATION.search(raw):
        return None
    return list(_elements(raw))


def _elements(raw: str) -> Iterator[str | None]:
    rest: str | None = raw
    while rest is not None:
        rest = rest.lstrip()
        if rest[:1] in ("'", '"'):
            text, rest = _quoted(rest)
            yield _unescape_braces(text)
        else:
            text, rest = _unquoted(rest)
            yield None if text.lower() == "null" else _unescape_braces(text)


def _quoted(raw: str) -> tuple[str, str | None]:
    """The text of a raw value that starts with a quote, and what follows the comma behind it."""
    quote = raw[0]
    found = re.match(
        rf"{quote}((?:[^\\{quote}]|\\+{quote}|\\+(?!{quote}))*?)(?<!\\)((?:\\\\)*){quote}", raw, re.DOTALL
    )
    if found is None:
        raise ValueError(f"the quote {quote} is not closed")
    behind = raw[found.end() :].lstrip()
    if behind and not behind.startswith(","):
        raise ValueError(f"{behind} stands behind the closing quote")
    text = found[1] + found[2]
    text = re.sub(rf"(\\+){quote}", lambda m: "\\" * ((len(m[1]) - 1) // 2) + quote, text)
    text = re.sub(r"(\\+)\Z", lambda m: "\\" * (len(m[1]) // 2), text)
    return text, behind[1:] if behind else None


def _unquoted(raw: str) -> tuple[str, str | None]:
    """The text up to the first comma, and what follows it."""
    text, kept = "", 0  # how much of the text no white space is taken from
    at = 0
    while at < len(raw) and raw[at] != ",":
        if raw[at] == "\\" and raw[at + 1 : at + 2] and raw[at + 1] in _ESCAPED:
            at += 1
            kept = len(text) + 1
        text += raw[at]
        at += 1
    return text[:kept] + text[kept:].rstrip(), raw[at + 1 :] if at < len(raw) else None


def _unescape_braces(text: str) -> str:
    return re.sub(r"(\\+)\$\{", lambda m: "\\" * ((len(m[1]) - 1) // 2) + "${", text)


def read_path(key: str, path: str) -> str:
    """A path whose leading ~ stands for a home; the shell leaves it where it stands behind an "=".

    Raises:
        ValueError: a folder that we write to whose name is no UTF-8: TensorBoard and the report's pages need that.
    """
    if key in _WRITTEN and any("\ud800" <= c <= "\udfff" for c in path):
        shown = path.encode(errors="backslashreplace").decode()
        raise ValueError(
            f"{key} must be text in UTF-8, got {shown}; rename the folder, or link to it by another name"
        )
    return os.path.expanduser(path)
