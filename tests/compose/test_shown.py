"""What --cfg prints: the fields of each kind at hand, and of no other."""

import dataclasses

import pytest
import yaml

from gnexp.cli.main import main
from gnexp.compose.shown import as_text
from gnexp.config.keys import conf_dir
from gnexp.config.kinds import KIND_GROUPS, class_of, classes_of
from gnexp.config.left_open import left_open
from tests.composing import COMPOSER


def file_of_kind(group, kind):
    """A file of conf/ for a kind."""
    paths = sorted((conf_dir() / group).glob("*.yaml"))
    values = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths}
    return next(name for name, value in values.items() if value.get("kind") == kind)


@pytest.mark.parametrize(
    ("group", "kind"), [(group, kind) for group in KIND_GROUPS for kind in classes_of(group)]
)
def test_a_kind_is_shown_with_its_own_fields(group, kind):
    config = COMPOSER.load([f"{group}={file_of_kind(group, kind)}"])
    shown = yaml.safe_load(as_text(config))
    assert list(shown[group]) == [f.name for f in dataclasses.fields(class_of(group, kind))]
    for f in dataclasses.fields(class_of(group, kind)):
        if f.default not in (None, dataclasses.MISSING):
            assert (
                shown[group][f.name] is not None
            )  # what is not given is shown as the default that it will be
    assert [key for key in shown if key != "experiment"] == [key for key in config if key != "experiment"]


def test_a_part_is_shown_alone():
    config = COMPOSER.load(["norm=bn"])
    assert as_text(config, package="norm") == "# @package norm\nkind: bn\neps: 1.0e-05\nmomentum: 0.1\n"
    assert as_text(config, package="norm.kind") == "bn\n"
    with pytest.raises(ValueError, match=r"^the config has no part nor; its parts are norm, model, "):
        as_text(config, package="nor")


def test_what_the_paper_leaves_open_stands_behind_its_line(capsys):
    assert main(["train", "norm=bn", "--cfg", "job"]) == 0
    text = capsys.readouterr().out
    remarked = [
        line.split(":")[0].strip() for line in text.splitlines() if "  # the paper does not state" in line
    ]
    assert {"eps", "momentum"} <= set(remarked)
    assert len(remarked) == len(left_open(COMPOSER.run(["norm=bn"])))
    assert yaml.safe_load(text)["norm"]["eps"] == 1e-5
    assert main(["train", "norm=bn", "--cfg", "job", "--package", "norm"]) == 0
    assert "eps: 1.0e-05  # the paper does not state it\n" in capsys.readouterr().out
