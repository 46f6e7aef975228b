"""Every file under conf/ composes at every scale, and the schema refuses what it does not know."""

import re

import pytest

from gnexp.compose.composer import Composer
from gnexp.compose.overrides import check
from gnexp.config import RunConfig
from gnexp.config.keys import GROUPS, conf_dir, group_options, known_keys
from tests.composing import COMPOSER
from tests.contracts.expansions import exhibits, expand

SCALES = ("paper", "small", "demo", "smoke")
RUN_GROUPS = [group for group in GROUPS if group not in ("scale", "experiment")]
FILES = [(group, option) for group in RUN_GROUPS for option in group_options(group)]


@pytest.fixture(scope="module")
def composer():
    return COMPOSER


def test_every_folder_of_conf_is_a_group_or_one_of_three_others():
    folders = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    assert folders == {*GROUPS, "claim", "exhibit", "hardware"}


def test_scales_are_the_four():
    assert group_options("scale") == sorted(SCALES)


@pytest.mark.parametrize(("group", "option"), FILES)
@pytest.mark.parametrize("scale", SCALES)
def test_every_file_composes(composer, group, option, scale):
    run = composer.run([f"scale={scale}", f"{group}={option}"])
    assert run.scale == scale
    if group in ("model", "data", "recipe"):
        assert getattr(run, group).name == option  # a run directory's label names the file that it is of
    assert RunConfig.__dataclass_fields__.keys() == vars(run).keys()


@pytest.mark.parametrize("path", sorted(conf_dir().rglob("*.yaml")), ids=lambda path: path.stem)
def test_a_command_in_a_comment_names_its_scale(path):
    commands = re.findall(
        r"^# +(gnexp (?:train|sweep|plan) .*)$", path.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert not [command for command in commands if " scale=" not in command]


@pytest.mark.parametrize("option", group_options("experiment"))
@pytest.mark.parametrize("scale", SCALES)
def test_every_experiment_expands(composer, option, scale):
    expansion = expand(option, scale)
    node = composer.load([f"experiment={option}"]).experiment
    assert node.name == option
    assert expansion.question
    assert expansion.cells
    assert all(cell.runs for cell in expansion.cells)
    assert all(run.scale == scale for cell in expansion.cells for run in cell.runs)
    ids = [run.run_id for _, run in expansion.seed_major]
    assert len(set(ids)) == len(ids)
    if scale == "smoke":
        assert len(ids) <= 8  # a contract test runs them all


@pytest.mark.parametrize("option", group_options("experiment"))
def test_an_experiment_sets_nothing_but_itself(composer, option):
    """Composer.run leaves its name out: all that it chooses are its overrides."""
    with_it, without = composer.load([f"experiment={option}"]), composer.load([])
    assert with_it.experiment.name == option
    assert {**with_it, "experiment": None} == {**without}


@pytest.fixture(scope="module")
def from_command():
    return Composer()  # apart from the one that expands: it knows no cell


@pytest.mark.parametrize("option", group_options("experiment"))
@pytest.mark.parametrize("scale", SCALES)
def test_a_cells_command_makes_its_runs(from_command, option, scale):
    """What the report prints after `gnexp train` gives the same run_id; of a cell's seeds the first and the last."""
    for cell in expand(option, scale).cells:
        for run in {cell.runs[0], cell.runs[-1]}:
            typed = [*cell.overrides, f"seed={run.seed}"]
            check(typed, from_command.options, sweep=False)
            assert from_command.run(from_command.flatten(typed)).run_id == run.run_id


@pytest.mark.parametrize(
    ("group", "content", "message"),
    [
        ("norm", "kind: gn\nnum_group: 4\n", "num_group"),
        ("model", "name: typo\ndept: 4\n", "dept"),
        ("data", "name: typo\nimage_size: large\n", "image_size.*large"),
        ("recipe", "name: typo\nepoch: 4\n", "epoch"),
        ("scale", "# @package _global_\nscale: typo\nworker: 4\n", "worker"),
        ("experiment", "name: typo\nscales: {small: {seed: [0]}}\n", "seed"),
        ("experiment", "name: typo\ngrids: {batch: [1]}\n", "grids"),
    ],
)
def test_the_schema_refuses_a_typo_in_a_file(tmp_path, group, content, message):
    (tmp_path / group).mkdir()
    (tmp_path / group / "typo.yaml").write_text(content, encoding="utf-8")
    composer = Composer([str(tmp_path)])
    check([f"{group}=typo"], composer.options, sweep=False)
    with pytest.raises(ValueError, match=message) as caught:
        composer.load([f"{group}=typo"])
    assert "\n" not in str(caught.value)


def test_a_users_file_is_an_option(tmp_path):
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "gn2.yaml").write_text("kind: gn\nnum_groups: 2\n", encoding="utf-8")
    composer = Composer([str(tmp_path)])
    check(["norm=gn2"], composer.options, sweep=False)
    assert composer.run(["norm=gn2"]).run_id == Composer().run(["norm=gn", "norm.num_groups=2"]).run_id


def test_every_key_of_the_schema_can_be_set(composer):
    """known_keys, which errors and completion name, is what the composed config holds."""
    config = composer.load([])

    def leaves(node, prefix=""):
        for key in node:
            if key == "by_task":  # a scale's file alone has it
                continue
            value = node._get_node(key)
            if hasattr(value, "keys") and not value._is_none() and key != "experiment":
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}"

    groups = {group for group in GROUPS if group not in ("scale", "experiment")}
    assert set(known_keys()) - groups == set(leaves(config))


def test_exhibits_load_and_name_experiments_that_exist():
    assert exhibits()
    for exhibit in exhibits().values():
        assert set(exhibit["experiments"]) <= set(group_options("experiment"))
