"""What `gnexp --help` and `gnexp VERB --help` say, from the table of verbs."""

from __future__ import annotations

from gnexp import __version__
from gnexp.cli.verb import Row, Setting, Verb
from gnexp.cli.verbs import VERBS

_TEXTS_AT, _REMARKS_AT = 27, 43  # the columns of what stands behind a key, and behind an example


def help_of_all() -> str:
    """The verbs, a line each."""
    lines = [_example(verb.name, verb.example, verb.line, 41) for verb in VERBS.values()]
    return "\n".join(
        [
            f'gnexp {__version__}: the experiments of "Group Normalization" (Wu & He 2018), and what lies past them.',
            "",
            *lines,
            "",
            "`gnexp VERB --help` tells more. Exit codes: 0 done, 1 failed, 2 a mistake in what was asked,",
            "75 asked to stop and saved (a scheduler may start it again), 130 Ctrl-C.",
            "",
        ]
    )


def help_of(verb: Verb) -> str:
    """What a verb does, examples, its settings, and what else is to be known."""
    blocks = [[f"{f'gnexp {verb.name} {verb.usage}'.strip()}: {verb.what}"]]
    blocks.append([_example(verb.name, words, remark, _REMARKS_AT) for words, remark in verb.examples])
    rows: list[Row | Setting] = list(verb.settings)
    if verb.lists_run_keys:
        from gnexp.cli.run_keys import (
            run_rows,  # the fields take a moment to import, which other help does without
        )

        rows = [*run_rows(), *rows]
    blocks.append([line for row in rows for line in _row(row.shown, row.text)])
    if verb.takes_run_keys:
        blocks.append(_norms_of_packages())
    blocks.append(verb.notes.splitlines())
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _norms_of_packages() -> list[str]:
    """A line for each norm that an installed package adds; without such packages no config is imported."""
    from gnexp.system.installed import norm_entry_points

    if not norm_entry_points():
        return []
    from gnexp.config.kinds import offers

    found = offers()
    lines = [
        line
        for kind, cls in found.classes.items()
        for line in _row(f"norm={kind}", f"{cls.names[kind].words}, of package {found.origins[kind]}")
    ]
    return [*lines, *(f"  {note}" for note in found.notes)]


def _example(name: str, words: str, remark: str, column: int) -> str:
    return f"{f'  gnexp {name} {words}'.rstrip():<{column - 2}}  {remark}".rstrip()


def _row(shown: str, text: str) -> list[str]:
    first, *others = text.split("\n")
    return [f"  {shown:<{_TEXTS_AT - 4}}  {first}".rstrip(), *(" " * _TEXTS_AT + line for line in others)]
