"""The verbs that train, of the table of verbs: train and sweep, whose settings are a run's."""

from __future__ import annotations

from gnexp.cli.verb import Row, Verb

_HYDRAS = """\
Hydra's: --cfg job (print the config and stop), --info, --config-dir DIR (your own conf/), --hydra-help
"""
_HYDRA_WORDS = ("--cfg", "--info", "--config-dir", "--hydra-help")

TRAIN = Verb(
    "train",
    "norm=gn batch=2",
    "one run (demo scale: embedded garments, a generated regime, unless told otherwise)",
    "KEY=VALUE...",
    "trains one run, or goes on from its last checkpoint; a finished one is not run again.",
    (
        ("scale=demo norm=gn batch=2", ""),
        ("scale=small norm=gn batch=2", "on photographs: 90 MB are downloaded once"),
        ("scale=paper norm=gn batch=2 data.root=/data/imagenet", ""),
        ("model=torchvision model.arch=mobilenet_v3_small", "any classifier of torchvision or timm"),
    ),
    (
        Row("runs_dir=runs", "where run directories lie: <run_id>-<label>/, in each result.json last"),
        Row("experiment=NAME", "take an experiment's fixed choices"),
    ),
    _HYDRAS,
    words=_HYDRA_WORDS,
    takes_run_keys=True,
    lists_run_keys=True,
    trains=True,
)
SWEEP = Verb(
    "sweep",
    "experiment=batch_size",
    "every run of one question: resumable, side by side",
    "KEY=VALUE...",
    "every run of an experiment that has no result yet.",
    (
        ("", "experiment=batch_size at scale=demo, generated"),
        ("scale=small dry_run=true", "print the plan and stop"),
        ("experiment=norms scale=demo seeds=5", "seeds 0 to 4 in every cell"),
        ("experiment=all scale=small", "every experiment that the scale has, each run once"),
        ("norm=gn,bn batch=2", "values for an axis of the grid replace it, for another key add one"),
        ("experiment=null norm=gn norm.num_groups=1,2,4,8", ""),
    ),
    (
        Row(
            "KEY=VALUE",
            "any key of a run, which gnexp train --help lists; several values with commas between",
        ),
        Row("runs_dir=runs", "where run directories lie"),
        Row("results_dir=results", "runs recorded there count as done"),
        Row("seeds=N", "seeds 0 to N-1;  seed=3,4 names them"),
        Row("budget=24h", "start no run that could not end by then, at the pace of runs like it in runs_dir"),
        Row(
            "hydra/launcher=joblib",
            "runs side by side, one per core;  basic: one after another, all cores each",
        ),
        Row(
            "hydra.launcher.n_jobs=2",
            "how many side by side (with a GPU one at a time, unless told otherwise)",
        ),
    ),
    f"""\
All cells get their first seed before any gets its second. Failed runs are listed at the end (exit code 1);
the same command goes on where a stopped sweep ended.
{_HYDRAS}""",
    words=(*_HYDRA_WORDS, "hydra/launcher=", "hydra.launcher.n_jobs="),
    takes_run_keys=True,
    trains=True,
)
