"""The command itself: help, errors, exit codes, what it imports, and completion in a real bash."""

import dataclasses
import functools
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl

import gnexp
from gnexp.cli import bench as bench_verb
from gnexp.cli import eval as eval_verb
from gnexp.cli import main as cli
from gnexp.cli import report as report_verb
from gnexp.cli import train as train_verb
from gnexp.cli.completion import script
from gnexp.cli.help import help_of
from gnexp.cli.run_keys import FOUND
from gnexp.cli.verbs import VERBS
from gnexp.compose import conf_files
from gnexp.compose.exhibits import load_exhibits
from gnexp.config import RunConfig
from gnexp.config.keys import GROUPS, benchmark_names, group_options
from gnexp.launch import launch
from gnexp.system.exit_codes import EXIT_FAILED, EXIT_USER_ERROR
from tests.grids import keep

ROOT = Path(__file__).parents[2]
FAKE = str(Path(__file__).parents[1] / "fake_trainer.py")
ENV = os.environ | {"PYTHONPATH": str(ROOT)}


def gnexp_process(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "gnexp", *words], cwd=cwd, env=ENV, capture_output=True, text=True, timeout=120
    )


def test_help_lists_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb in VERBS:
        assert f"gnexp {verb}" in shown


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help_that_fits_a_screen(capsys, verb):
    assert cli.main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"gnexp {verb}")
    assert len(shown.splitlines()) <= 30
    assert max(len(line) for line in shown.splitlines()) <= 112


def test_help_names_every_norm():
    named = re.search(r"^  norm= +([^; ]+)", help_of(VERBS["train"]), re.MULTILINE)
    assert sorted(named[1].split("|")) == group_options("norm")


@pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))
def test_the_table_of_verbs_is_what_help_completion_and_reading_say(verb):
    """One row of it, and nothing beside it, makes a setting known to all three."""
    shown = help_of(verb)
    for key, setting in verb.own.items():
        assert f"  {key}=" in shown
        assert f"{key}=" in complete(f"gnexp {verb.name} {key}")
        if setting.choices and setting.default:
            assert setting.default in setting.choices
        assert complete(f"gnexp {verb.name} {key}=") or not setting.choices
    module = importlib.import_module(f"gnexp.cli.{verb.name}")
    assert callable(module.main)


def test_every_field_of_a_run_is_in_the_help_with_its_title_and_default():
    """Rows by hand had forgotten peer_timeout, and would have had to follow each change."""
    shown = help_of(VERBS["train"])
    for f in dataclasses.fields(RunConfig):
        if f.name == "task" or f.name in FOUND:
            continue  # other keys choose it
        line = next(line for line in shown.splitlines() if line.startswith(f"  {f.name}="))
        if f.name not in GROUPS:
            assert f.metadata["title"] and f.metadata["title"] in line
            assert (
                line.split()[0]
                == f"{f.name}={'' if f.default is None else str(f.default).replace('False', 'false')}"
            )
            assert "|".join(f.metadata["choices"]) in line
    assert all(option in shown for option in group_options("norm"))


def test_no_verb_is_a_mistake(capsys):
    assert cli.main([]) == 2
    assert "gnexp train" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"gnexp {gnexp.__version__}\n"


@pytest.mark.parametrize(
    "words",
    keep(
        [["--version"], ["train", "--help"]],
        [
            ["--version"],
            ["--help"],
            ["train", "--help"],
            ["completion"],
            ["train", "--cfg", "job"],
            ["sweep", "--info", "config"],
            ["sweep", "dry_run=true"],
        ],
    ),
    ids=" ".join,
)
@pytest.mark.parametrize("buffering", ["", "1"])
def test_what_cannot_be_printed_is_one_line(words, buffering):
    """Before a verb is known too, whether Python notices at once or when it flushes."""
    run = functools.partial(
        subprocess.Popen, [sys.executable, "-m", "gnexp", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    env = ENV | {"PYTHONUNBUFFERED": buffering}
    with open("/dev/full", "w", encoding="utf-8") as full, run(stdout=full, env=env) as process:
        assert process.communicate()[1] == "gnexp: error: cannot print: [Errno 28] No space left on device\n"
    assert process.returncode == EXIT_FAILED
    reading, writing = os.pipe()
    os.close(reading)  # `| true`
    with os.fdopen(writing, "w", encoding="utf-8") as pipe, run(stdout=pipe, env=env) as process:
        assert process.communicate()[1] == ""
    assert process.returncode == 0


@pytest.mark.parametrize("words", [["--help"], ["eval", "--help"], ["train", "--help"]])
def test_help_imports_next_to_nothing(words):
    heavy = ["hydra", "omegaconf", "torch", "numpy", *(["dataclasses"] if words[0] != "train" else [])]
    code = (
        f"import sys; from gnexp.cli.main import main; main({words}); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENV, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_cfg_job_prints_the_config_without_torch_and_leaves_no_files(tmp_path):
    code = (
        "import sys; from gnexp.cli.main import main\n"
        "code = main(['train', 'experiment=norms', 'scale=smoke', 'norm=bn', '--cfg', 'job'])\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENV, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "batch: 4\n" in done.stdout  # of the experiment's block for smoke
    assert "  kind: bn\n" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "trian",
            f"unknown verb 'trian': choose from {', '.join(VERBS)}; did you mean train?",
        ),
        ("train batc=2", "unknown key batc; did you mean batch?"),
        (
            "train norm=gnn",
            (
                "unknown norm 'gnn': choose from bn, brn, evonorm_s0, frn, frozen_bn, gn, gn_ws, grms, in, ln, ln2d, "
                "none, sync_bn; did you mean gn?"
            ),
        ),
        ("train norm.num_group=3", "unknown key norm.num_group; did you mean norm.num_groups?"),
        ("train batch=two", "batch: Value 'two' of type 'str' could not be converted to Integer"),
        ("train batch=0", "batch must be at least 1 image per worker, got 0"),
        ("train +foo=1", "'+foo=1': keys cannot be added or removed, only set; write key=value"),
        ("train norm.num_groups=2 norm.channels_per_group=2", "not both: got 2 and 2"),
        ("train norm=gn,bn", "`gnexp sweep` makes one run of each"),
        ("train ~norm", "'~norm': keys cannot be added or removed"),
        ("train batch=0 --cfg job", "batch must be at least 1 image per worker, got 0"),
        ("train --config-name x", "--config-name is not for gnexp; see `gnexp train --help`"),
        ("train data.name=a/../../b", "data.name may hold letters"),
        ("train --foo", "unrecognized arguments: --foo"),
        ("train --multirun", "leave out --run and --multirun"),
        ("train --config-dir /nowhere", "there is no config directory /nowhere"),
        ("sweep experiment=batchsize", "did you mean batch_size?"),
        ("sweep seeds=1 dry_run=perhaps", "dry_run: Value 'perhaps'"),
        (
            "report exhbit=table2",
            "unknown key exhbit: known are exhibit, overwrite, runs_dir, results_dir; did you",
        ),
        ("report exhibit=tabel2", "unknown exhibit 'tabel2'"),
        ("report overwrite=maybe", "unknown overwrite 'maybe': choose from true, false"),
        ("report --chekc", "unknown word --chekc"),
        ("plan experiment=batchsize", "did you mean batch_size?"),
        ("plan batc=2", "unknown key batc; did you mean batch?"),
        ("plan images_per_second=-1", "images_per_second must be a positive number, got '-1'"),
        ("plan images_per_second=fast", "images_per_second must be a positive number, got 'fast'"),
        ("plan seeds=many", "seeds must be a number of seeds, got many"),
        ("plan --config-dir /nowhere", "there is no config directory /nowhere"),
        ("export", "which run? gnexp export run=RUN_ID"),
        ("export run=3f", "no run 3f in runs (0 runs there)"),
        ("export run=3f format=onnx", "unknown format 'onnx': choose from torchvision, safetensors"),
        ("export run=3f eval_stats=all", "unknown eval_stats 'all': choose from worker0, mean, precise"),
        ("doctor data.root=x", "unknown key data.root: known are runs_dir, results_dir"),
        ("train init=nothing.pt", "init must be a file of weights or a finished run, got nothing.pt"),
        ("eval", "which run? gnexp eval run=RUN_ID"),
        ("eval run=3f", "no run 3f in runs (0 runs there)"),
        ("eval run=3f eval_stats=worker1", "unknown eval_stats 'worker1'"),
        ("eval init=w.pt eval_stats=mean", "eval_stats=mean goes with run="),
        ("eval init=w.pt data=imagnet", "unknown data 'imagnet'"),
        ("eval init=w.pt data=imagenet", "init must be a file of weights or a finished run, got w.pt"),
        ("predict", "whose network? gnexp predict run=RUN_ID IMAGES..."),
        ("predict run=3f init=w.pt a.png", "whose network?"),
        ("predict run=3f", "which images?"),
        ("predict run=3f a.png topp=3", "unknown key topp: known are run, init, top"),
        ("predict run=3f a.png top=few", "top must be a whole number, 0 or more, got few"),
        ("predict run=3f a.png", "no run 3f in runs (0 runs there)"),
        ("predict init=w.pt a.png", "init must be a file of weights or a finished run, got w.pt"),
        ("completion bash", "unknown word bash: this verb takes none"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_2(tmp_path, monkeypatch, capfd, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    assert cli.main(words.split()) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gnexp: error: ")
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert "HYDRA_FULL_ERROR" not in shown.err
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_of_runs(tmp_path):
    (tmp_path / "runs").write_text("", encoding="utf-8")
    done = gnexp_process("train", "scale=smoke", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("gnexp: error: cannot write to runs")
    assert done.stderr.count("\n") == 1


def test_train_starts_the_worker_and_says_when_it_is_done(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(launch, "TRAINER", (sys.executable, FAKE))
    words = ["train", "scale=smoke", "norm=bn", "batch=2", "runs_dir=some runs"]
    assert cli.main(words) == 0
    assert capfd.readouterr().out == "hello from the trainer\n"
    (run_dir,) = (tmp_path / "some runs").iterdir()
    assert cli.main(words) == 0
    assert capfd.readouterr().out == f"already finished: 18.0 % error in some runs/{run_dir.name}\n"
    monkeypatch.setenv("FAKE_TRAINER", "fail")
    assert cli.main([*words, "seed=1"]) == 2
    assert capfd.readouterr().err == "gnexp: error: the layer is odd\n"
    monkeypatch.setenv("FAKE_TRAINER", "crash")
    assert cli.main([*words, "seed=1"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some runs"]


def test_train_composes_once(tmp_path, monkeypatch):
    """The run that is checked is the run that trains: Hydra reads the scale's files once, and no app of it starts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(launch, "TRAINER", (sys.executable, FAKE))
    wholes, real = [], ConfigLoaderImpl.load_configuration

    def counted(*arguments, **keywords):
        wholes.append(arguments)
        return real(*arguments, **keywords)

    conf_files._own_files.cache_clear()  # other tests have read gnexp's own
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    monkeypatch.setattr(train_verb, "run_app", None)
    assert cli.main(["train", "experiment=norms", "scale=smoke", "norm=bn", "init=null"]) == 0
    assert len(wholes) == 1
    assert len(list(Path("runs").iterdir())) == 1


def test_eval_prints_the_workers_scores(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(launch, "TRAINER", (sys.executable, FAKE))
    run_dir = launch.launch(RunConfig(), Path("runs"), quiet=True).run_dir.path
    assert cli.main(["eval", f"run={run_dir.name[:6]}", "eval_stats=all"]) == 0
    assert capfd.readouterr().out.splitlines()[1:] == [
        "eval_stats  val/top1_error, %",
        "worker0     12.35",
        "mean        12.00",
    ]
    last = json.loads((run_dir / "seen.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert last["arguments"] == ["eval", f"runs/{run_dir.name}/spec.json", "all", "0"]


def test_report_on_a_disk_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch, capfd):
    """It named the file and the error alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").write_text("a file where the folder is to be", encoding="utf-8")
    assert cli.main(["report", "exhibit=table1"]) == EXIT_USER_ERROR
    said = capfd.readouterr().err
    assert (
        "; mend that or choose another folder with results_dir=..., and the same command does the rest"
        in said
    )
    assert said.startswith("gnexp: error: results") and said.count("\n") == 1


def test_report_renders_and_checks(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", "exhibit=table1"]) == 0
    shown = capfd.readouterr().out
    assert "0 new result(s) from runs" in shown
    table = tmp_path / "results" / "tables" / "table1.md"
    assert str(table.relative_to(tmp_path)) in shown.splitlines()
    assert cli.main(["report", "exhibit=table1", "--check"]) == 0
    table.write_text("other", encoding="utf-8")
    assert cli.main(["report", "exhibit=table1", "--check"]) == 1
    assert "table1.md" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("verb", "place"),
    [("train", train_verb), ("report", report_verb), ("eval", eval_verb), ("bench", bench_verb)],
)
def test_ctrl_c_is_one_line_and_130(monkeypatch, capsys, verb, place):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(place, "main", interrupt)
    assert cli.main([verb]) == 130
    assert capsys.readouterr().err == "gnexp: interrupted\n"


def complete(line):
    """What bash offers for a line with the cursor at its end, asked as readline asks."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    asked = f"""{script()}
COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=($COMP_LINE); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1))
compopt() {{ :; }}
_gnexp gnexp
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run([bash, "--norc", "-u", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [word for word in done.stdout.splitlines() if word]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gnexp tr", ["train"]),
        ("gnexp train norm.num", ["norm.num_groups="]),
        ("gnexp train norm=g", ["gn", "gn_ws", "grms"]),
        ("gnexp train norm=", group_options("norm")),
        ("gnexp sweep norm=gn,b", ["gn,bn", "gn,brn"]),
        ("gnexp sweep experiment=batch", ["batch_renorm", "batch_size", "batch_size_control"]),
        ("gnexp sweep experiment=a", ["all"]),
        ("gnexp train experiment=a", []),
        ("gnexp sweep batch=2 dry", ["dry_run="]),
        ("gnexp sweep dry_run=t", ["true"]),
        ("gnexp train dry", []),
        ("gnexp train --cfg ", ["job", "hydra", "all"]),
        ("gnexp train --conf", ["--config-dir"]),
        ("gnexp report --c", ["--check"]),
        ("gnexp report exhibit=table2", ["table2", "table2_demo"]),
        ("gnexp report exhibit=figure1,table2_", ["figure1,table2_demo"]),
        ("gnexp eval eval_stats=p", ["precise"]),
        ("gnexp train model=torchvision model.arch=mobilenet_v3_s", ["mobilenet_v3_small"]),
        ("gnexp train model=timm model.arch=convnext_f", ["convnext_femto", "convnext_femto_ols"]),
        ("gnexp train model=torchvision model.arch=convnext_f", []),
        ("gnexp eval eval_stats=a", ["all"]),
        ("gnexp export eval_stats=a", []),
        ("gnexp report overwrite=t", ["true"]),
        ("gnexp train recipe.nest", ["recipe.nesterov="]),
        ("gnexp train recipe.nesterov=f", ["false"]),
        ("gnexp train precision=b", ["bf16"]),
        ("gnexp data che", ["check"]),
        ("gnexp sweep hydra/launcher=j", ["joblib"]),
        ("gnexp eval nor", []),
        ("gnexp predict eval_stats=m", ["mean"]),
        ("gnexp predict out", ["output="]),
        ("gnexp do", ["doctor"]),
        ("gnexp plan images", ["images_per_second="]),
        ("gnexp plan experiment=vg", ["vgg"]),
        ("gnexp export format=s", ["safetensors"]),
        ("gnexp bench th", ["threads", "throughput"]),
        ("gnexp train norm=x", []),
    ],
)
def test_bash_completes(line, offered):
    assert complete(line) == offered


def test_bash_is_offered_every_option_and_loads_the_script(tmp_path):
    for group in GROUPS:
        assert complete(f"gnexp train {group}=") == group_options(group)
        every = ["all"] if group == "experiment" else []
        assert complete(f"gnexp sweep {group}=") == group_options(group) + every
    exhibits = complete("gnexp report exhibit=")
    assert exhibits == [values["id"] for values in load_exhibits()]
    assert load_exhibits(exhibits) == load_exhibits()  # each is one that a report takes
    done = gnexp_process("completion", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, script())
    loaded = subprocess.run(
        ["bash", "--norc", "-c", f"{done.stdout}\ncomplete -p gnexp"], capture_output=True, text=True
    )
    assert loaded.stdout == "complete -F _gnexp gnexp\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], f"which benchmark? gnexp bench NAME, one of {', '.join(benchmark_names())}"),
        (["stepp"], f"choose from {', '.join(benchmark_names())}; did you mean step?"),
    ],
)
def test_bench_names_what_there_is(capsys, words, message):
    assert cli.main(["bench", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_benchmark_has_its_own_options(tmp_path):
    """And its own modules: none of where it is started."""
    for name in ("random", "queue", "bench_step"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError(__file__)", encoding="utf-8")
    done = gnexp_process("bench", "step", "--workers", "0", cwd=tmp_path)
    assert done.returncode == 2 and "--rounds must be at least 1" in done.stderr
    assert done.stderr.startswith(
        "usage: gnexp bench step [-h] [--part {users,norms,all}] [--workers WORKERS]"
    )


def test_bash_completes_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "phone.jpg").touch()
    assert sorted(complete("gnexp predict run=3f pho")) == ["phone.jpg", "photos"]
    assert complete("gnexp eval pho") == []
