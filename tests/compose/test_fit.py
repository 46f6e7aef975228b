"""A data set chooses its task, model and recipe; what does not go together is refused with the command that works."""

import itertools
import re
import shlex
from pathlib import Path

import pytest
import torch

from gnexp.cli import main as cli
from gnexp.compose.composer import Composer
from gnexp.config.keys import group_options
from gnexp.config.kinds import classes_of
from gnexp.config.task import TASKS
from gnexp.engine.state import build, check_shapes
from gnexp.engine.train import StepRecord, train
from gnexp.tasks.build import BUILDERS, build_task
from tests.data.annotations import write_coco
from tests.data.videos import write_kinetics

ADDING = Path(__file__).parents[2] / "docs" / "adding.md"
OTHERS = [
    name for name in group_options("data") if name in ("coco", "kinetics", "fashion_coco", "fashion_clips")
]


@pytest.fixture(scope="module")
def composer():
    return Composer()


def compose(composer, words):
    composer.check_fit(words)
    return composer.run(composer.flatten(words))


def test_every_kind_has_its_task():
    assert {*TASKS} == BUILDERS.keys()
    for group in ("data", "model"):
        assert {cls.task for cls in classes_of(group).values()} == {*TASKS}
    own = [cls.task for cls in classes_of("data").values() if cls.is_tasks_own]
    assert sorted(own) == sorted(TASKS)


@pytest.mark.parametrize("scale", group_options("scale"))
@pytest.mark.parametrize("data", group_options("data"))
def test_a_data_set_alone_is_a_run(composer, data, scale):
    run = compose(composer, [f"scale={scale}", f"data={data}"])
    assert run.data.task == run.task.kind == run.model.task
    if run.task.kind != "classification":
        assert (run.batch, run.recipe.name) != (32, scale)
        check_shapes(run, build_task(run.task))


def test_what_is_asked_for_goes_over_what_a_data_set_chooses(composer):
    asked = ["data=coco", "model=mask_rcnn_r50_c4", "recipe=coco_c4", "batch=1", "model.freeze_at=0"]
    run = compose(composer, asked)
    assert (run.task.kind, run.model.name, run.recipe.name) == ("detection", "mask_rcnn_r50_c4", "coco_c4")
    assert (run.batch, run.model.freeze_at) == (1, 0)
    assert compose(composer, [*asked, "task.kind=detection"]) == run


def test_a_users_file_chooses_too(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text(
        "defaults: [coco, _self_]\nname: mine\nnum_classes: 3\n", encoding="utf-8"
    )
    run = compose(Composer([str(tmp_path)]), ["data=mine"])
    assert (run.task.kind, run.model.name, run.data.name) == ("detection", "thin_mask_rcnn", "mine")


def commands_of_the_page():
    """What docs/adding.md says to type: the words behind `gnexp train`, and data=... data.root=... alone."""
    text = " ".join(ADDING.read_text(encoding="utf-8").split())
    found = re.findall(r"`(data=[^`]*data\.root=[^`]*)`", text)
    return [shlex.split(words) for words in found]


def test_the_commands_of_the_page_that_says_how_to_add_data_are_runs(composer):
    commands = commands_of_the_page()
    assert {words[0] for words in commands} == {"data=imagefolder", "data=coco", "data=kinetics"}
    for words in commands:
        compose(composer, words)


@pytest.mark.parametrize(
    ("data", "write", "small"),
    [
        (
            "coco",
            write_coco,
            ["data.image_size=32", "data.min_size=32", "data.max_size=32", "data.num_classes=4"],
        ),
        (
            "kinetics",
            write_kinetics,
            ["data.image_size=16", "data.train_resize=[16,16]", "data.num_classes=2"],
        ),
    ],
)
def test_ones_own_data_train_as_the_page_says(composer, tmp_path, data, write, small):
    write(tmp_path)
    words = [
        f"data={data}",
        f"data.root={tmp_path}",
        "data.name=mine",
        *small,
        "batch=1",
        "data.loader_workers=0",
    ]
    state = build(compose(composer, words), torch.device("cpu"))
    records = [r for r in itertools.islice(train(state), 3) if isinstance(r, StepRecord)]
    assert [record.step for record in records][:1] == [1]


@pytest.mark.parametrize(
    ("words", "said", "works"),
    [
        (
            "task.kind=detection data=imagefolder data.root=/my/set",
            "task.kind=detection and data=imagefolder do not go together: data=imagefolder is for task.kind=classif",
            "data=imagefolder data.root=/my/set",
        ),
        (
            "model=thin_resnet data=coco data.root=/my/set",
            "model=thin_resnet and data=coco do not go together: data=coco is for task.kind=detection, model=thin_r",
            "data=coco data.root=/my/set",
        ),
        (
            "task.kind=classification data=kinetics",
            "task.kind=classification and data=kinetics",
            "data=kinetics",
        ),
        ("model=thin_mask_rcnn", "model=thin_mask_rcnn and", "data=fashion_coco model=thin_mask_rcnn"),
        ("model=thin_i3d batch=2", "model=thin_i3d and", "data=fashion_clips model=thin_i3d batch=2"),
        ("task.kind=video", "task.kind=video and", "data=fashion_clips task.kind=video"),
        ("experiment=coco_fpn data=imagefolder", "task.kind=detection and", "data=imagefolder"),
        ("experiment=kinetics model=vgg16", "model=vgg16 and", "data=fashion_clips experiment=kinetics"),
    ],
)
def test_what_does_not_go_together_is_one_line(composer, words, said, works):
    with pytest.raises(ValueError, match="do not go together") as caught:
        compose(composer, words.split())
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith(f"; this works: gnexp train scale=demo {works}")
    assert "\n" not in str(caught.value)
    compose(composer, works.split())


def test_the_command_says_it_and_leaves_nothing_behind(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for words, works in (
        ("train data=coco model=thin_resnet", "scale=demo data=coco"),
        ("sweep experiment=null data=coco model=thin_mask_rcnn,vgg16", "scale=demo data=coco"),
        ("train data=coco model=thin_resnet scale=small", "data=coco scale=small"),
    ):
        assert cli.main(words.split()) == 2
        err = capfd.readouterr().err
        assert err.count("\n") == 1
        assert "and data=coco do not go together" in err
        assert err.endswith(f"this works: gnexp train {works}\n")
    assert not list(tmp_path.iterdir())


def test_an_unknown_task_is_named(composer):
    with pytest.raises(ValueError, match="task.kind must be classification, detection or video, got pose"):
        compose(composer, ["task.kind=pose"])
