"""key=value words of a verb that is no Hydra app."""

from __future__ import annotations

from collections.abc import Sequence

from gnexp.config.keys import PATH_KEYS, did_you_mean
from gnexp.config.spelling import quoting, read_path, read_texts

_PATHS = (*PATH_KEYS, "run", "output")


def settings_of(words: list[str], defaults: dict[str, str], lists: Sequence[str] = ()) -> dict[str, str]:
    """The settings that were given over those that a verb has by default.

    Args:
        words: of the command line; their values are read as `gnexp train` reads text.
        defaults: every key that the verb has.
        lists: the keys that take several values, which then stand with commas between them.

    Raises:
        ValueError: a word that is no key=value, a key that the verb does not have, or a value that is not one text.
    """
    found = dict(defaults)
    for word in words:
        key, equals, value = word.partition("=")
        if key not in defaults:
            known = f": known are {', '.join(defaults)}" if defaults else ": this verb takes none"
            raise ValueError(
                f"unknown {'key' if equals else 'word'} {key}{known}{did_you_mean(key, list(defaults))}"
            )
        if not value.strip():
            raise ValueError(f"expected {key}=VALUE, got {word!r}")
        texts = _read(key, value)
        if len(texts) > 1 and key not in lists:
            raise ValueError(
                f"{word} lists several values, {key} takes one; if it is one, quote it as {quoting(key, value)}"
            )
        found[key] = ",".join(read_path(key, text) if key in _PATHS else text for text in texts)
    return found


def _read(key: str, value: str) -> list[str]:
    try:
        texts = read_texts(value)
    except ValueError as error:
        raise ValueError(
            f"cannot read {f'{key}={value}'!r}: {error}; quote it as {quoting(key, value)}"
        ) from None
    if texts is None:
        raise ValueError(f"{key} takes text, got {value}; quote it as {quoting(key, value)}")
    return ["null" if text is None else text for text in texts]
