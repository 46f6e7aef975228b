"""What `gnexp --help` and `gnexp VERB --help` say."""

from __future__ import annotations

from gnexp import __version__

HELP = f"""\
gnexp {__version__}: the experiments of "Group Normalization" (Wu & He 2018), and what lies past them.

  gnexp train norm=gn batch=2            one run (small scale, embedded real data, unless told otherwise)
  gnexp sweep experiment=batch_size      every run of one question: resumable, side by side
  gnexp report                           tables and figures in results/, the paper's values beside the measured
  gnexp plan scale=paper                 what a sweep would cost; starts nothing
  gnexp eval run=RUN_ID                  the error of a finished run under other running statistics
  gnexp export run=RUN_ID                its weights, for torchvision and others
  gnexp doctor                           what is installed, granted and free here
  gnexp data check /data/imagenet        whether every file of a data set can be read
  gnexp bench step                       how fast it is here, against what a user would write instead
  gnexp completion                       for bash: eval "$(gnexp completion)"

`gnexp VERB --help` tells more. Exit codes: 0 done, 1 failed, 2 a mistake in what was asked,
75 asked to stop and saved (a scheduler may start it again), 130 Ctrl-C.
"""

_RUN_KEYS = """\
  norm=gn|bn|ln|in|brn|frozen_bn|none  the normalization;  norm.num_groups=8 or norm.channels_per_group=4 for gn
  batch=32  workers=8      images per worker, and how many workers share a step
  scale=small|paper|smoke  minutes on a laptop; the paper's own setting (data.root=/data/imagenet); seconds
  model= data= recipe=     other files of conf/;  any field of them: recipe.epochs=4
  init=PATH|RUN_ID         weights to start from: a finished run's, or a file's, torchvision's too
  processes=1              that share the workers, by torchrun; with srun or torchrun outside they are theirs
  workers_per_pass=        of a process's workers at once, to fit memory; all unless told otherwise
  precision=fp32           tf32, bf16 or fp16: part of the science;  compile=true, memory_format=channels_last
  norm.impl=auto           of gn: fused (Triton, on a GPU) or composed (torch's operators)
  device=auto  threads=    cpu, cuda or cuda:1; threads of one training process
  checkpoint_minutes=10    between two checkpoints within an epoch
  runs_dir=runs            where run directories lie
"""

_HYDRA_FLAGS = """\
Hydra's: --cfg job (print the config and stop), --info, --config-dir DIR (your own conf/), --hydra-help
"""

VERB_HELP = {
    "train": f"""\
gnexp train KEY=VALUE...: trains one run, or goes on with it from its last checkpoint.

  gnexp train norm=gn batch=2
  gnexp train experiment=norms norm=ln seed=1
  gnexp train scale=paper norm=gn batch=2 data.root=/data/imagenet

{_RUN_KEYS}\
  seed=0                   everything random follows from it
  experiment=NAME          take an experiment's fixed choices

A finished run is not run again. Its files are in runs/<run_id>-<label>/, result.json last.
{_HYDRA_FLAGS}""",
    "sweep": f"""\
gnexp sweep KEY=VALUE...: every run of an experiment that has no result yet.

  gnexp sweep                              experiment=batch_size at scale=small
  gnexp sweep dry_run=true                 print the plan and stop
  gnexp sweep experiment=norms seeds=5     seeds 0 to 4 in every cell
  gnexp sweep experiment=all               every experiment that the scale has, each run once
  gnexp sweep norm=gn,bn batch=2           values for an axis of the grid replace it, for another key add one
  gnexp sweep experiment=null norm=gn norm.num_groups=1,2,4,8

{_RUN_KEYS}\
  results_dir=results      runs recorded there count as done
  seeds=N                  seeds 0 to N-1;  seed=3,4 names them
  hydra/launcher=joblib    runs side by side, one per core;  basic: one after another, all cores each
  hydra.launcher.n_jobs=2  how many side by side (with a GPU one at a time, unless told otherwise)

All cells get their first seed before any gets its second. Failed runs are listed at the end (exit code 1);
the same command goes on where a stopped sweep ended.
{_HYDRA_FLAGS}""",
    "report": """\
gnexp report [--check] KEY=VALUE...: collects finished runs into results/ and renders tables and figures.

  gnexp report
  gnexp report exhibit=table2,figure1
  gnexp report --check                     render again and compare; exit code 1 if anything differs

  exhibit=NAME,...         some exhibits alone (default: all)
  overwrite=false          true: a finished run replaces the one recorded under its id
  runs_dir=runs            where run directories lie
  results_dir=results      where the report goes
""",
    "eval": """\
gnexp eval run=RUN: scores a finished run's final weights on val under the named running statistics.

  gnexp eval run=3f2a eval_stats=all

  run=RUN                  a run's id, the start of it, or its directory
  eval_stats=worker0       worker0 (what users of DistributedDataParallel get), mean, precise or all
  save_images=8            of detection: the first images of val with boxes and masks, into the run's images/
  runs_dir=runs            where run directories lie

Of detection it leaves detections-STATS.json in the run's directory, COCO's results file.
""",
    "plan": """\
gnexp plan KEY=VALUE...: what a sweep would cost, a row a cell; starts nothing and needs no data.

  gnexp plan experiment=batch_size scale=paper
  gnexp plan experiment=norms scale=paper images_per_second=2500
  gnexp plan experiment=all scale=paper

  experiment= scale= norm=gn,bn seeds= ...   as `gnexp sweep` takes them
  images_per_second=N      of training here; else measured from this machine's runs where there are any
  data.expected_train=N    training images of a folder that is not here (imagenet: known)
  runs_dir=runs  results_dir=results         where finished and begun runs lie
  --config-dir DIR         your own conf/

Operations are those of convolutions and linear layers; training is taken as three forward passes.
""",
    "export": """\
gnexp export run=RUN: writes a finished run's weights and prints the Python that loads them.

  gnexp export run=3f2a
  gnexp export run=3f2a format=safetensors eval_stats=mean output=weights.safetensors

  run=RUN                  a run's id, the start of it, or its directory
  format=torchvision       a state_dict that torchvision's constructors (and timm's resnet50_gn) load strictly;
                           safetensors: the same names, for any network
  eval_stats=worker0       which running statistics become the one set: worker0, mean or precise
  output=PATH              (default: in the run's directory)
  runs_dir=runs            where run directories lie
""",
    "doctor": """\
gnexp doctor: versions, cores, memory, GPUs, data folders, free disk; exit code 1 if something is broken.

  runs_dir=runs  results_dir=results         where runs and results would be written
""",
    "data": """\
gnexp data check ROOT KEY=VALUE...: decodes every file of a data set, and names what training could not use.

  gnexp data check /my/images              photographs, ROOT/{train,val}/<class>/
  gnexp data check /data/imagenet data=imagenet
  gnexp data check /data/coco data=coco    ROOT/{train2017,val2017}/ and ROOT/annotations/
  gnexp data check /data/kinetics data=kinetics   videos, ROOT/{train,val}/<class>/, or by its lists
  gnexp data check /my/set data=coco data.name=my_set data.num_classes=3

  data=imagenet            the layout; also expect its numbers of classes and images
  data.name=NAME           your own data in that layout, which has other numbers
  data.num_classes=N       also expect so many classes
  processes=N              that decode (default: one per core)

A line "bad" for each file that is empty, cut off, no image or video or of 16-bit gray, each empty class, each
broken annotation, each image of another size than its entry says, videos that a list names and that are not
there, and each wrong count: exit code 1 if there is any. A line "note" for what training takes otherwise than
it is stored: CMYK and other color spaces become RGB, orientation tags are ignored, images without a usable
annotation are left out.
""",
    "bench": """\
gnexp bench NAME [--help | OPTIONS]: runs one of benchmarks/ of the repository, on an otherwise idle machine.

  gnexp bench step                         the small scale's training step against a user's own code
  gnexp bench loader                       photographs from file to network input, against torchvision
  gnexp bench video                        clips of videos, against a plain loop over their frames
  gnexp bench throughput                   threads, runs side by side, memory formats
  gnexp bench threads                      what threads that wait cost, alone and beside a busy neighbour
  gnexp bench startup                      how soon the commands answer
""",
    "completion": """\
gnexp completion: prints a bash completion script.

  eval "$(gnexp completion)"               in this shell; put the line into ~/.bashrc for every shell
""",
}
