"""key=value words of a verb, read as the table of verbs says."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gnexp.cli.verb import BOOLEAN, Setting
from gnexp.cli.verbs import VERBS
from gnexp.config.keys import check_choice, did_you_mean
from gnexp.config.spelling import quoting, read_path, read_texts


def settings_of(verb: str, words: Sequence[str], keys: Collection[str] | None = None) -> dict[str, str]:
    """The settings that were given over those that a verb has by default.

    Args:
        verb: its name.
        words: of the command line, without those that are no key=value; values are read as `gnexp train` reads text.
        keys: those of the verb's that count here, where it does several things; None = all.

    Returns:
        Every such key of the verb; of a list the values stand with commas between them.

    Raises:
        ValueError: a word that is no key=value, a key that the verb does not have, a value that is not one text or none
            of its choices, or nothing given where something has to be.
    """
    own = {key: setting for key, setting in VERBS[verb].own.items() if keys is None or key in keys}
    found = {key: setting.default for key, setting in own.items()}
    for word in words:
        key, equals, _ = word.partition("=")
        if key not in own:
            known = f": known are {', '.join(own)}" if own else ": this verb takes none"
            raise ValueError(
                f"unknown {'key' if equals else 'word'} {key}{known}{did_you_mean(key, list(own))}"
            )
        found[key] = _value(own[key], word)
    for key, setting in own.items():
        _check(setting, found[key], verb)
    return found


def _value(setting: Setting, word: str) -> str:
    key, _, value = word.partition("=")
    if not value.strip():
        raise ValueError(f"expected {key}=VALUE, got {word!r}")
    texts = _read(key, value)
    if len(texts) > 1 and not setting.is_list:
        raise ValueError(
            f"{word} lists several values, {key} takes one; if it is one, quote it as {quoting(key, value)}"
        )
    if setting.choices == BOOLEAN:
        return value.strip().lower()
    return ",".join(read_path(key, text) if setting.path else text for text in texts)


def _check(setting: Setting, value: str, verb: str) -> None:
    if setting.choices:
        check_choice(setting.key, value, setting.choices)
    if setting.is_count and value and not value.isdecimal():
        raise ValueError(f"{setting.key} must be a whole number, 0 or more, got {value}")
    if setting.missing and not value:
        raise ValueError(setting.missing.format(verb=verb))


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
