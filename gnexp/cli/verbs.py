"""The verbs of `gnexp`, one table: their help, what completion offers and how their settings are read come from it."""

from __future__ import annotations

from gnexp.cli.training_verbs import SWEEP, TRAIN
from gnexp.cli.verb import BOOLEAN, FILE, FOLDER, Row, Setting, Verb

_STATS = ("worker0", "mean", "precise")
_RUNS = Setting("runs_dir", "runs_dir=runs", "where run directories lie", "runs", path=FOLDER)
_RUN = Setting(
    "run",
    "run=RUN",
    "a run's id, the start of it, or its directory",
    path=FILE,
    missing="which run? gnexp {verb} run=RUN_ID (or the start of it, or its directory)",
)
_REPORT = Verb(
    "report",
    "",
    "tables and figures in results/, the paper's values beside the measured",
    "[--check] KEY=VALUE...",
    "collects finished runs into results/ and renders tables and figures.",
    (
        ("", ""),
        ("exhibit=table2,figure1", ""),
        ("--check", "render again and compare; exit code 1 if anything differs"),
    ),
    (
        Setting("exhibit", "exhibit=NAME,...", "some exhibits alone (default: all)", is_list=True),
        Setting(
            "overwrite",
            "overwrite=false",
            "true: a finished run replaces the one recorded under its id",
            "false",
            BOOLEAN,
        ),
        _RUNS,
        Setting("results_dir", "results_dir=results", "where the report goes", "results", path=FOLDER),
    ),
    words=("--check",),
)
_PLAN = Verb(
    "plan",
    "scale=paper",
    "what a sweep would cost; starts nothing",
    "KEY=VALUE...",
    "what a sweep would cost, a row a cell; starts nothing and needs no data.",
    (
        (
            "experiment=batch_size scale=paper hardware=h100x8 price=24",
            "and what each run costs",
        ),
        ("experiment=norms scale=paper images_per_second=2500", ""),
        ("experiment=all scale=paper", ""),
    ),
    (
        Row("experiment= scale= norm=gn,bn seeds= ...   as `gnexp sweep` takes them"),
        Setting(
            "images_per_second",
            "images_per_second=N",
            "of training here; else measured from this machine's runs where there are any",
        ),
        Setting(
            "hardware",
            "hardware=h100x8",
            "as fast as a machine of conf/hardware (measured, or modelled and called so)",
        ),
        Setting("price", "price=P", "of an hour; then what each run costs"),
        Row("data.expected_train=N", "training images of a folder that is not here (imagenet: known)"),
        Row("runs_dir=runs  results_dir=results         where finished and begun runs lie"),
        Row("--config-dir DIR", "your own conf/"),
    ),
    """\
Operations are those of convolutions and linear layers; training is taken as three forward passes.
""",
    words=("--config-dir",),
    takes_run_keys=True,
)
_STATUS = Verb(
    "status",
    "--watch",
    "which runs go on, were preempted, failed or are done",
    "[RUNS_DIR] [--watch]",
    "a line a run: its state, epoch, error so far and last sign of life.",
    (
        ("", ""),
        ("/scratch/runs --watch", "again every 2 s, until Ctrl-C; without a terminal a line a change"),
    ),
    (_RUNS,),
    """\
running, preempted (the same command goes on), failed (why; killed ones too), done (diverged ones too).
The error is the last evaluation's, of a run that is done the reported one.
""",
    words=("--watch",),
)
_EVAL = Verb(
    "eval",
    "run=RUN_ID",
    "the error of a finished run under other running statistics, or of a file of weights",
    "run=RUN|init=FILE",
    "scores a finished run's final weights on val, or those in a file as they are.",
    (
        ("run=3f2a eval_stats=all", ""),
        (
            "init=R-50-GN.pkl data=imagenet data.root=/data/imagenet",
            "published weights; val/ alone is needed",
        ),
    ),
    (
        _RUN,
        Setting(
            "eval_stats",
            "eval_stats=worker0",
            "worker0 (what users of DistributedDataParallel get), mean, precise or all",
            "worker0",
            (*_STATS, "all"),
        ),
        Setting(
            "save_images",
            "save_images=8",
            "of detection: the first images of val with boxes and masks, into the run's images/",
            "0",
            is_count=True,
        ),
        _RUNS,
        Setting(
            "init", "init=FILE", "a file of weights in the place of a run, and any keys of a run", path=FILE
        ),
    ),
    """\
Of detection it leaves detections-STATS.json in the run's directory, COCO's results file.
With init=FILE the keys of a run say on what (scale=paper unless told otherwise); model and norm are the file's,
where it is a ResNet-50 or 101 of torchvision, timm, open-mmlab or Detectron (docs/weights.md).
""",
)
_PREDICT = Verb(
    "predict",
    "run=RUN_ID photos/",
    "what a network says of your images: classes, or boxes and masks",
    "run=RUN|init=FILE IMAGES...",
    "what a finished run's network, or one in a file, says of images.",
    (
        ("run=3f2a photos/ 'more/**/*.jpg'", "files, folders with all below them, patterns"),
        ("init=R-50-GN.pkl dog.jpg", "published weights (docs/weights.md)"),
    ),
    (
        Setting("run", "run=RUN", "a run's id, the start of it, or its directory", path=FILE),
        Setting(
            "init", "init=FILE", "a file of weights in the place of a run, and any keys of a run", path=FILE
        ),
        Setting("top", "top=5", "likeliest classes of each image", "5", is_count=True),
        Setting(
            "output",
            "output=FOLDER",
            "for predictions.json; of a detector (default: predictions) for pictures and\n"
            "detections.json, COCO's format",
            path=FOLDER,
        ),
        Setting(
            "eval_stats",
            "eval_stats=worker0",
            "running statistics of a run: worker0 or mean",
            "worker0",
            ("worker0", "mean"),
        ),
        _RUNS,
    ),
    """\
Images are resized and cropped as in the run's evaluation; a detector takes them whole. What is no image in a
folder is passed over and said; what cannot be read is said at the end (exit code 1; 2 if nothing can).
""",
    takes_files=True,
)
_EXPORT = Verb(
    "export",
    "run=RUN_ID",
    "its weights, for torchvision and others",
    "run=RUN",
    "writes a finished run's weights and prints the Python that loads them.",
    (("run=3f2a", ""), ("run=3f2a format=safetensors eval_stats=mean output=weights.safetensors", "")),
    (
        _RUN,
        Setting(
            "format",
            "format=torchvision",
            "a state_dict that torchvision's constructors (and timm's resnet50_gn) load strictly;\n"
            "safetensors: the same names, for any network",
            "torchvision",
            ("torchvision", "safetensors"),
        ),
        Setting(
            "eval_stats",
            "eval_stats=worker0",
            "which running statistics become the one set: worker0, mean or precise",
            "worker0",
            _STATS,
        ),
        Setting("output", "output=PATH", "(default: in the run's directory)", path=FILE),
        _RUNS,
    ),
)
_DOCTOR = Verb(
    "doctor",
    "",
    "what is installed, granted and free here",
    "",
    "versions, cores, memory, GPUs, data folders, free disk; exit code 1 if something is broken.",
    (),
    (
        Setting("runs_dir", "runs_dir=runs", "where runs would be written", "runs", path=FOLDER),
        Setting(
            "results_dir", "results_dir=results", "where results would be written", "results", path=FOLDER
        ),
    ),
)
_DATA = Verb(
    "data",
    "check /data/imagenet",
    "whether every file of a data set can be read; or unpacks its archives",
    "check ROOT | prepare NAME from= to=",
    "decodes every file of a data set; or unpacks its archives.",
    (
        ("check /my/images", "photographs, ROOT/{train,val}/<class>/"),
        ("check /data/coco data=coco", "imagenet, coco or kinetics: expect its numbers too"),
        ("check /my/set data=coco data.name=my_set data.num_classes=3", ""),
        ("prepare imagenet from=/downloads to=/data/imagenet", "or coco, or kinetics; docs/data.md"),
    ),
    (
        Setting(
            "data.root",
            "data.root=ROOT",
            "check: the same as ROOT",
            path=FOLDER,
            missing="which folder? gnexp data check ROOT, the one that holds train/ and val/",
        ),
        Setting("data", "data=imagenet", "check: the layout; also expect its numbers of classes and images"),
        Setting(
            "data.name", "data.name=NAME", "check: your own data in that layout, which has other numbers"
        ),
        Setting("data.num_classes", "data.num_classes=N", "check: also expect so many classes"),
        Setting("processes", "processes=N", "check: that decode (default: one per core)", is_count=True),
        Setting(
            "from",
            "from=FOLDER",
            "prepare: that holds the archives as they are published",
            path=FOLDER,
            missing="which archives? gnexp data prepare NAME from=FOLDER to=FOLDER, from: the one that holds them",
        ),
        Setting(
            "to",
            "to=FOLDER",
            "prepare: the data.root to be; what is there already stays",
            path=FOLDER,
            missing="where to? gnexp data prepare NAME from=FOLDER to=FOLDER, to: the data.root to be",
        ),
        Setting("md5", "md5=true", "prepare: false takes archives with another MD5", "true", BOOLEAN),
    ),
    """\
check: a line "bad" for each file, class, annotation or count that training could not use (exit code 1), a line
"note" for what it takes otherwise than it is stored. prepare downloads nothing; stopped in any way, the same
command goes on, and a folder appears in its place once all of it is there.
""",
    words=("check", "prepare"),
)
_BENCH = Verb(
    "bench",
    "step",
    "how fast it is here, against what a user would write instead",
    "NAME [--help | OPTIONS]",
    "runs one of benchmarks/ of the repository, on an otherwise idle machine.",
    (
        ("step", "the thin ResNet's training step against a user's own code"),
        ("loader", "photographs from file to network input, against torchvision"),
        ("video", "clips of videos, against a plain loop over their frames"),
        ("throughput", "threads, runs side by side, memory formats"),
        ("threads", "what threads that wait cost, alone and beside a busy neighbour"),
        ("startup", "how soon the commands answer"),
    ),
    own_help=True,
)
_COMPLETION = Verb(
    "completion",
    "",
    'for bash: eval "$(gnexp completion)"',
    "",
    "prints a bash completion script.",
    (),
    (),
    """\
  eval "$(gnexp completion)"               in this shell; put the line into ~/.bashrc for every shell
""",
)

VERBS = {
    verb.name: verb
    for verb in (
        TRAIN,
        SWEEP,
        _STATUS,
        _REPORT,
        _PLAN,
        _EVAL,
        _PREDICT,
        _EXPORT,
        _DOCTOR,
        _DATA,
        _BENCH,
        _COMPLETION,
    )
}
