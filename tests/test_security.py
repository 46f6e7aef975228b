"""Nothing that a file holds is executed: not in checkpoints, weights, specs or configs; and no shell is started."""

import ast
import itertools
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from gnexp.compose.composer import Composer
from gnexp.compose.init import resolve_init
from gnexp.compose.overrides import check
from gnexp.config import RunConfig, norm_config, to_dict
from gnexp.config.keys import GROUPS, conf_dir
from gnexp.engine.weight_files import read_weights
from gnexp.runs.spec import load_spec
from tests.grids import thin

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for package in ("gnexp", "hydra_plugins") for path in (ROOT / package).rglob("*.py"))
# Calls that run what a string or a file says.
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load"),
    *("hydra.utils.instantiate", "hydra.utils.call", "instantiate"),
}


STARTERS = {f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")}


class Planted:
    """Pickles into a call that leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def calls_of(path):
    """(dotted name, call) of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def given(call, name):
    """A keyword's literal value, or None."""
    found = next((word.value for word in call.keywords if word.arg == name), None)
    return found.value if isinstance(found, ast.Constant) else None


def test_no_call_executes_what_a_string_or_a_file_says():
    found = [
        (str(path.relative_to(ROOT)), name)
        for path in SOURCES
        for name, _ in calls_of(path)
        if name in FORBIDDEN
    ]
    assert SOURCES and not found


def test_tensors_are_loaded_without_their_code_and_arrays_without_pickles():
    loads = [(path, call) for path in SOURCES for name, call in calls_of(path) if name == "torch.load"]
    assert loads
    assert not [str(path) for path, call in loads if given(call, "weights_only") is not True]
    arrays = [(path, call) for path in SOURCES for name, call in calls_of(path) if name == "np.load"]
    assert not [str(path) for path, call in arrays if given(call, "allow_pickle") is not False]


def test_subprocesses_get_argument_lists_and_no_shell():
    started = 0
    for path in SOURCES:
        for name, call in calls_of(path):
            assert "shell" not in {word.arg for word in call.keywords}, path
            if name in STARTERS:
                started += 1
                is_text = isinstance(call.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)
                assert not is_text, f"{path}: {ast.unparse(call)}"
    assert started


def test_the_walk_sees_what_it_looks_for(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(
        "import os\nos.system('ls')\ntorch.load(x)\nsubprocess.run('ls', shell=True)\neval('1')\n",
        encoding="utf-8",
    )
    found = dict(calls_of(path))
    assert {"os.system", "eval"} <= found.keys() & FORBIDDEN
    assert given(found["torch.load"], "weights_only") is None
    assert given(found["subprocess.run"], "shell") is True


@pytest.mark.parametrize("kind", ["pickle", "torch", "inside a state_dict"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_malicious_file_of_weights_is_refused_and_not_executed(tmp_path, kind, suffix):
    path, planted = tmp_path / f"weights{suffix}", tmp_path / "planted"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Planted(planted), protocol=2))
    else:
        torch.save(Planted(planted) if kind == "torch" else {"fc.weight": Planted(planted)}, path)
    named, place = resolve_init(str(path), None, tmp_path)
    with pytest.raises(ValueError, match="cannot be read as weights") as caught:
        read_weights(Path(place), named, torch.device("cpu"))
    assert "\n" not in str(caught.value)
    assert not planted.exists()
    if suffix == ".pt":
        pickle.loads(path.read_bytes()) if kind == "pickle" else torch.load(path, weights_only=False)
        assert planted.exists(), "the file would not have done anything"


def yaml_keys(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from yaml_keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from yaml_keys(inner)


def test_no_config_of_ours_names_code():
    files = sorted(conf_dir().rglob("*.yaml"))
    assert files
    for path in files:
        keys = {str(key) for key in yaml_keys(yaml.safe_load(path.read_text(encoding="utf-8")))}
        assert not {key for key in keys if key.startswith("_") and key != "_self_"}, path


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "scale"])
def test_a_users_config_cannot_name_code(tmp_path, group):
    (tmp_path / group).mkdir()
    text = f"_target_: pathlib.Path.touch\n_args_: [{tmp_path / 'planted'}]\n"
    (tmp_path / group / "evil.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="_target_|_args_") as caught:
        Composer([str(tmp_path)]).run([f"{group}=evil"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("trait", ["builder", "names", "group"])
def test_what_names_a_norms_code_is_no_field_of_a_config(tmp_path, trait):
    """A package that is installed names its builder; a file or a command line cannot."""
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "evil.yaml").write_text(f"kind: gn\n{trait}: os:getcwd\n", encoding="utf-8")
    with pytest.raises(ValueError, match=trait):
        Composer([str(tmp_path)]).run(["norm=evil"])
    with pytest.raises(ValueError, match=f"unknown key norm.{trait}"):
        check([f"norm.{trait}=os:getcwd"], Composer().options, sweep=False)
    with pytest.raises(ValueError, match=f"unknown key norm.{trait}"):
        norm_config(kind="gn", **{trait: "os:getcwd"})


CALLBACK = "callbacks: {{evil: {{_target_: pathlib.Path.touch, _args_: [{planted}]}}}}"
FORMATTER = "job_logging: {{version: 1, formatters: {{evil: {{(): pathlib.Path.touch, self: {planted}}}}}}}"


@pytest.mark.parametrize(
    ("verb", "part"), thin([*itertools.product(["train", "sweep", "plan"], [CALLBACK, FORMATTER])], 3)
)
def test_a_users_config_cannot_reach_hydras_own_part(tmp_path, verb, part):
    """Hydra runs callbacks and logging's factories of any name, before gnexp has a say."""
    planted = tmp_path / "planted"
    (tmp_path / "own" / "norm").mkdir(parents=True)
    text = "# @package _global_\nnorm: {kind: gn}\nhydra: {" + part.format(planted=planted) + "}\n"
    (tmp_path / "own" / "norm" / "evil.yaml").write_text(text, encoding="utf-8")
    words = ["norm=evil", "scale=smoke", "data.num_train=64", "data.num_val=40", "recipe.epochs=1", "batch=4"]
    words += ["experiment=null", "dry_run=true"] if verb == "sweep" else []
    done = subprocess.run(
        [sys.executable, "-m", "gnexp", verb, *words, "--config-dir", "own"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert not planted.exists()
    assert done.returncode == 2
    assert "a config file sets hydra." in done.stderr and done.stderr.count("\n") == 1


def test_a_users_launcher_is_one_of_hydras_plugins_and_sets_nothing_else(tmp_path):
    planted = tmp_path / "planted"
    (tmp_path / "own" / "hydra" / "launcher").mkdir(parents=True)
    texts = {
        "evil": f"_target_: pathlib.Path.touch\n_args_: [{planted}]\n",
        "worse": "# @package _global_\nhydra: {" + CALLBACK.format(planted=planted) + "}\n",
    }
    for name, text in texts.items():
        (tmp_path / "own" / "hydra" / "launcher" / f"{name}.yaml").write_text(text, encoding="utf-8")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "gnexp",
                "sweep",
                f"hydra/launcher={name}",
                "--config-dir",
                "own",
                "scale=smoke",
            ],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True,
            text=True,
        )
        assert not planted.exists() and not (tmp_path / "runs").exists(), name
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr


def test_a_spec_cannot_name_code(tmp_path):
    planted = tmp_path / "planted"
    config = to_dict(RunConfig())
    evil = {"_target_": "pathlib.Path.touch", "_args_": [str(planted)]}
    path = tmp_path / "spec.json"
    for place in (config, config["model"]):
        place |= evil
        path.write_text(
            json.dumps({"format": 1, "run_id": RunConfig().run_id, "config": config}), encoding="utf-8"
        )
        with pytest.raises(ValueError, match="does not read .unknown key .*_"):
            load_spec(path)
        for key in evil:
            del place[key]
    for key, kind in (
        ("model", "os.system"),
        ("norm", "builtins.eval"),
        ("task", "__import__"),
        ("data", "os"),
    ):
        config = to_dict(RunConfig())
        config[key]["kind"] = kind
        path.write_text(
            json.dumps({"format": 1, "run_id": RunConfig().run_id, "config": config}), encoding="utf-8"
        )
        with pytest.raises(ValueError, match="is not a run's spec|does not read|says run_id"):
            load_spec(path)
    assert not planted.exists()
