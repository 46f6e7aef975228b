"""key=value words of a verb that is no Hydra app."""

from __future__ import annotations

from gnexp.keys import did_you_mean


def settings_of(words: list[str], defaults: dict[str, str]) -> dict[str, str]:
    """The settings that were given over those that a verb has by default.

    Raises:
        ValueError: a word that is no key=value, or a key that the verb does not have.
    """
    found = dict(defaults)
    for word in words:
        key, equals, value = word.partition("=")
        if key not in defaults:
            known = f": known are {', '.join(defaults)}" if defaults else ": this verb takes none"
            raise ValueError(
                f"unknown {'key' if equals else 'word'} {key}{known}{did_you_mean(key, list(defaults))}"
            )
        if not equals or not value:
            raise ValueError(f"expected {key}=VALUE, got {word!r}")
        found[key] = value
    return found
