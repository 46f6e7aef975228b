"""The sha256 of data goes with the settings in its YAML: with others there is none, and one line says so."""

import pytest

from gnexp.cli import main as cli
from gnexp.compose.composer import Composer
from gnexp.config.kinds import classes_of
from tests.composing import COMPOSER
from tests.sweep.sweeps import in_a_folder

__all__ = ["in_a_folder"]  # a fixture of every test here


def run_of(*words):
    return COMPOSER.run(COMPOSER.flatten(words))


@pytest.mark.parametrize(
    "words",
    [
        "data.num_train=4000",
        "data.exposure=0.5",
        "data.val_source=train",
        "data=fashion_coco data.num_val=10",
        "data=fashion_clips data.exposure=0.5",
        "data=eurosat data.image_size=64",
        "data=cifar10 data.num_train=4000",
        "scale=smoke",
    ],
)
def test_other_settings_are_the_run_without_a_sha256(words):
    run = run_of(*words.split())
    assert run.data.sha256 is None
    assert run.run_id == run_of(*words.split(), "data.sha256=null").run_id
    assert run == COMPOSER.run(words.split() if "scale" in words else COMPOSER.flatten(words.split()))


@pytest.mark.parametrize(
    "words", ["", "data.flip=false", "data.shift=2", "data.val_source=null", "data=eurosat_search", "batch=2"]
)
def test_what_changes_no_pixel_keeps_it(words):
    assert run_of(*words.split()).data.sha256 is not None


def test_who_names_one_means_it():
    assert run_of("data.num_train=4000", f"data.sha256={'0' * 64}").data.sha256 == "0" * 64


def test_a_users_own_file_is_followed(tmp_path):
    folder = tmp_path / "own" / "data"
    folder.mkdir(parents=True)
    text = "defaults: [fashion_scenes, _self_]\nname: dim\nexposure: 0.3\nsha256: abcd\n"
    (folder / "dim.yaml").write_text(text, encoding="utf-8")
    composer = Composer([str(tmp_path / "own")])
    assert composer.run(composer.flatten(["data=dim"])).data.sha256 == "abcd"
    for words in (["data=dim", "data.exposure=0.4"], ["data.num_val=50"]):
        assert composer.run(composer.flatten(words)).data.sha256 is None


@pytest.mark.parametrize("kind", classes_of("data"))
def test_a_trait_names_fields_that_there_are(kind):
    cls = classes_of("data")[kind]
    assert set(cls.sha256_of) <= set(cls.__dataclass_fields__)


def test_one_line_says_so(capfd):
    line = (
        "note: the sha256 of data=fashion_scenes is of the settings in its YAML; with data.num_train=128 "
        "there is none to compare\n"
    )
    words = ["scale=smoke", "norm=gn", "batch=2", "data.num_train=128"]
    assert cli.main(["train", *words]) == 0
    assert capfd.readouterr().err.count(line) == 1
    assert cli.main(["sweep", "experiment=null", *words, "seeds=2", "dry_run=true"]) == 0
    assert capfd.readouterr().err.count(line) == 1
    assert (
        cli.main(["train", "scale=smoke", "norm=gn", "batch=2"]) == 0
    )  # whose settings the scale has chosen
    assert "sha256" not in capfd.readouterr().err
