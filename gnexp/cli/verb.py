"""What a row of the table of verbs holds.

No dataclasses: `gnexp --help` imports next to nothing.
"""

from __future__ import annotations

from typing import NamedTuple

FILE, FOLDER = "file", "folder"
BOOLEAN = ("true", "false")


class Setting(NamedTuple):
    """A key=value of a verb, beside the keys of a run."""

    key: str
    shown: str  # in the help: the key with its default or with what to put there
    text: str  # its lines, each behind the keys
    default: str = ""
    choices: tuple[str, ...] = ()
    path: str = ""  # FILE | FOLDER: what its value names
    is_count: bool = False  # a whole number
    is_list: bool = False  # several values, with commas between
    missing: str = ""  # what is asked where it is not given, and has to be


class Row(NamedTuple):
    """A line of help about keys of a run, which have their choices and defaults in conf/."""

    shown: str
    text: str = ""


class Verb(NamedTuple):
    """A verb; the module of its name in gnexp.cli has main(words)."""

    name: str
    example: str  # in the list of all verbs, with the line about it
    line: str
    usage: str
    what: str
    examples: tuple[tuple[str, str], ...]
    settings: tuple[Setting | Row, ...] = ()
    notes: str = ""
    words: tuple[str, ...] = ()  # what else it takes, for completion
    takes_files: bool = False  # as words of their own
    takes_run_keys: bool = False  # those of a run, read by Hydra's grammar
    lists_run_keys: bool = False  # in its help, a line each
    trains: bool = False  # it starts what goes on for hours
    own_help: bool = False  # --help behind its first word is not gnexp's

    @property
    def own(self) -> dict[str, Setting]:
        """Its settings by key."""
        return {setting.key: setting for setting in self.settings if isinstance(setting, Setting)}
