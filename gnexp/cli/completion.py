"""A bash completion script with gnexp's words in it, so that pressing Tab starts no Python."""

from __future__ import annotations

from gnexp.cli.help import VERB_HELP
from gnexp.cli.settings import settings_of
from gnexp.config.keys import (
    ALL_EXPERIMENTS,
    COMMAND_KEYS,
    GROUPS,
    benchmark_names,
    group_options,
    known_keys,
)

_FLAGS = "--help --cfg --info --config-dir --hydra-help"
_VALUES = {
    "dry_run": "true false",
    "overwrite": "true false",
    "device": "auto cpu cuda",
    "precision": "fp32 tf32 bf16 fp16",
    "compile": "true false",
    "data.on_error": "fail skip",
    "data.test_crop": "full three center",
    "memory_format": "auto contiguous channels_last",
    "eval_stats": "worker0 mean precise all",
    "format": "torchvision safetensors",
    "hydra/launcher": "joblib basic",
}

_SCRIPT = """\
# bash completion of gnexp; written by `gnexp completion`. Run that again after adding files to conf/.
_gnexp_values() {
    case "$1" in
@VALUES@
        runs_dir|results_dir|data.root) compgen -d -- "$2" ;;
        init|init_path|output) compgen -f -- "$2" ;;
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
        train) found="@TRAIN@" ;;
        sweep) found="@SWEEP@" ;;
        plan) found="@PLAN@" ;;
        report) found="--check --help exhibit= overwrite= runs_dir= results_dir=" ;;
        eval) found="--help run= eval_stats= save_images= runs_dir=" ;;
        export) found="--help run= format= eval_stats= output= runs_dir=" ;;
        doctor) found="--help runs_dir= results_dir=" ;;
        data) found="check --help data.root= data= data.name= data.num_classes= processes=" ;;
        bench) found="@BENCHMARKS@ --help" ;;
        completion) found="--help" ;;
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
    options = {group: " ".join(group_options(group)) for group in (*GROUPS, "exhibit")} | _VALUES
    options["experiment"] += f" $([[ $verb == train ]] || echo {ALL_EXPERIMENTS})"
    cases = "\n".join(f'        {key}) echo "{values}" ;;' for key, values in options.items())
    keys = [f"{key}=" for key in known_keys()]
    train = " ".join([*(k for k in keys if k[:-1] not in COMMAND_KEYS), "runs_dir=", _FLAGS])
    sweep = " ".join([*keys, "hydra/launcher=", "hydra.launcher.n_jobs=", _FLAGS])
    words = {
        "VALUES": cases,
        "VERBS": " ".join(VERB_HELP),
        "TRAIN": train,
        "SWEEP": sweep,
        "PLAN": " ".join([*keys, "images_per_second=", "--config-dir", "--help"]),
        "BENCHMARKS": " ".join(benchmark_names()),
    }
    text = _SCRIPT
    for name, value in words.items():
        text = text.replace(f"@{name}@", value)
    return text


def main(words: list[str]) -> int:
    """Prints it."""
    settings_of(words, {})
    print(script(), end="")
    return 0
