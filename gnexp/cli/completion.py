"""A bash completion script with gnexp's words in it, so that pressing Tab starts no Python."""

from __future__ import annotations

from collections.abc import Iterator

from gnexp.cli.settings import settings_of
from gnexp.cli.verb import FILE, FOLDER, Verb
from gnexp.cli.verbs import VERBS
from gnexp.compose.exhibits import exhibit_names
from gnexp.config.keys import (
    ALL_EXPERIMENTS,
    GROUPS,
    PATH_KEYS,
    SWEEP_KEYS,
    benchmark_names,
    choices_of_fields,
    group_options,
    known_keys,
)
from gnexp.config.kinds import classes_of
from gnexp.models.kinds.foreign import registered
from gnexp.system.exit_codes import EXIT_DONE

_SCRIPT = """\
# bash completion of gnexp; written by `gnexp completion`. Run that again after adding files to conf/.
_gnexp_values() {
    case "$verb $1" in
@VALUES@
    esac
}

_gnexp() {
    # The word up to the cursor, whole: bash splits words at "=" and ":".
    local line=${COMP_LINE:0:COMP_POINT}
    local word=${line##* }
    local -a words
    read -ra words <<< "$line"
    local verb=${words[1]-}
    local found="" head=""
    COMPREPLY=()
    if [[ ${#words[@]} -le 1 || ( ${#words[@]} -eq 2 && -n $word ) ]]; then
        COMPREPLY=($(compgen -W "@VERBS@ --help --version" -- "$word"))
        return
    fi
    if [[ $word == *=* ]]; then
        # Only what follows the last "=" or "," is completed: norm=gn,b
        head=${word%"${word##*[=,]}"}
        found=$(_gnexp_values "${word%%=*}" "${word##*[=,]}")
        COMPREPLY=($(compgen -W "$found" -- "${word##*[=,]}"))
        # bash replaces what follows the last "=" where that breaks words, else the whole word.
        [[ $COMP_WORDBREAKS == *=* ]] && head=${head#*=}
        COMPREPLY=("${COMPREPLY[@]/#/$head}")
        [[ ${#COMPREPLY[@]} -eq 1 && -z ${COMPREPLY[0]} ]] && COMPREPLY=()
        return
    fi
    case "$verb" in
@WORDS@
    esac
    [[ ${words[${#words[@]}-1]} == --cfg && -z $word ]] && found="job hydra all"
    COMPREPLY=($(compgen -W "$found" -- "$word"))
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _gnexp gnexp
"""


def script() -> str:
    """The script, with the verbs, flags, keys and options of this installation."""
    lines = {"VERBS": " ".join(VERBS), "VALUES": "\n".join(_values()), "WORDS": "\n".join(_words())}
    text = _SCRIPT
    for name, value in lines.items():
        text = text.replace(f"@{name}@", value)
    return text


def _values() -> Iterator[str]:
    """What follows "KEY=", a verb's own keys first."""
    paths = {key: FILE if key.startswith("init") else FOLDER for key in PATH_KEYS}
    for verb in VERBS.values():
        for setting in verb.own.values():
            if setting.choices:
                yield f'        "{verb.name} {setting.key}") echo "{" ".join(setting.choices)}" ;;'
            elif setting.path:
                paths[setting.key] = setting.path
    for group in GROUPS:
        options = " ".join(group_options(group))
        every = f" $([[ $verb == train ]] || echo {ALL_EXPERIMENTS})" if group == "experiment" else ""
        yield f'        *" {group}") echo "{options}{every}" ;;'
    yield f'        *" exhibit") echo "{" ".join(exhibit_names())}" ;;'
    for key, choices in {**choices_of_fields(), "hydra/launcher": ("joblib", "basic")}.items():
        yield f'        *" {key}") echo "{" ".join(choices)}" ;;'
    if found := " ".join(_arches()):
        yield f'        *" model.arch") {found} ;;'
    for key, path in paths.items():
        yield f'        *" {key}") compgen -{"f" if path == FILE else "d"} -- "$2" ;;'


def _arches() -> Iterator[str]:
    """Prints the networks of each installed package, unless the line chooses another one's."""
    classes = {kind: cls for kind, cls in classes_of("model").items() if cls.is_foreign}
    for kind, cls in classes.items():
        others = " || ".join(f'$line == *" model={other} "*' for other in classes if other != kind)
        if names := sorted(registered(cls.package)):
            yield f'[[ {others} ]] || echo "{" ".join(names)}";'


def _words() -> Iterator[str]:
    """What may stand for a word of a verb."""
    for verb in VERBS.values():
        keys = [*(f"{key}=" for key in (*_run_keys(verb), *verb.own)), *verb.words]
        names = benchmark_names() if verb.own_help else []
        files = ' $(compgen -f -- "$word")' if verb.takes_files else ""
        yield f'        {verb.name}) found="{" ".join([*names, *keys, "--help"])}{files}" ;;'


def _run_keys(verb: Verb) -> list[str]:
    """The keys of a run, and for several runs those of a sweep."""
    if not verb.takes_run_keys:
        return []
    return [key for key in known_keys() if verb.name != "train" or key not in SWEEP_KEYS]


def main(words: list[str]) -> int:
    """Prints it."""
    settings_of("completion", words)
    print(script(), end="")
    return EXIT_DONE
