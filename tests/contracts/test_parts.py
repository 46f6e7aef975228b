"""Merging parts gives what Hydra's composition of the whole gives, for every cell of every experiment."""

import pytest
from omegaconf import OmegaConf

from gnexp.compose.conf_files import to_plain
from gnexp.compose.overrides import parse
from gnexp.config.keys import GROUPS, group_options
from tests.composing import COMPOSER
from tests.contracts.expansions import expand

SCALES = ("paper", "small", "demo", "smoke")
EXPERIMENTS = group_options("experiment")
FILES = COMPOSER._files  # remembers what Hydra has composed, for all contract tests


def assert_same(words):
    words = [word for word in words if not word.startswith("experiment=")]
    assert FILES._parts.merge(parse(words)) == to_plain(FILES.compose(words))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_cell_of_each_experiment(experiment):
    assert_same(COMPOSER.flatten(expand(experiment, "small").cells[-1].overrides))


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("scale", SCALES)
def test_every_cell(experiment, scale):
    for cell in expand(experiment, scale).cells:
        assert_same(COMPOSER.flatten(cell.overrides))


@pytest.mark.parametrize("scale", SCALES)
def test_a_file_of_each_group(scale):
    assert_same([f"scale={scale}", *(f"{g}={group_options(g)[0]}" for g in GROUPS if g != "scale")])


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("group", [group for group in GROUPS if group not in ("scale", "experiment")])
def test_every_file(group, scale):
    for option in group_options(group):
        assert_same([f"scale={scale}", f"{group}={option}"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_question_of_each_experiment(experiment):
    node = FILES.compose([f"experiment={experiment}"]).experiment
    assert FILES.experiment(experiment, "small") == OmegaConf.to_object(node)


def test_values_are_read_by_the_schema():
    words = [
        "recipe.base_lr=1",
        "batch='4'",
        "norm.eps=1",
        "model.widths=[1,2,3,4]",
        "data.root=2024",
        "init=1e5",
    ]
    assert_same([*words, "precision=null", "recipe.nesterov=yes", "batch=8", "task.kind=video"])


@pytest.mark.parametrize(
    "word", ["batch=two", "batch=2.5", "data.mean=[a]", "recipe.nesterov=maybe", "batch=null", "norm.x=1"]
)
def test_a_mistake_gets_the_same_line(word):
    with pytest.raises(ValueError, match=r".") as by_parts:
        FILES.merge([word])
    with pytest.raises(ValueError, match=r".") as by_hydra:
        FILES.compose([word])
    assert str(by_parts.value) == str(by_hydra.value)


def test_what_only_hydra_can_read_is_left_to_it(monkeypatch):
    monkeypatch.setenv("GNEXP_TEST_BATCH", "4")
    for words in (["batch=${oc.env:GNEXP_TEST_BATCH}"], ["norm={kind: gn}"]):
        assert FILES._parts.merge(parse(words)) is None
    assert FILES.merge(["batch=${oc.env:GNEXP_TEST_BATCH}"])["batch"] == 4
