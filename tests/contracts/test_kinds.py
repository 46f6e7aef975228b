"""A kind owns its own: what is needed of one stands in its own module, and nothing else asks for its name."""

import ast
import dataclasses
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gnexp.config.fields import hints_of, takes_none
from gnexp.config.kinds import build_kind, classes_of, fields_of, import_text

PACKAGE = Path(__file__).parents[2] / "gnexp"
GROUPS = ("norm", "model", "data")
KINDS = [(group, kind) for group in GROUPS for kind in classes_of(group)]
NAMES = {kind for _, kind in KINDS}
CLASSES = {cls.__name__ for group in GROUPS for cls in classes_of(group).values()}
# Where a kind's name is no question about a kind, by file.
OTHER_MEANINGS = {
    # the word
    "none": (
        *("config/packages.py", "data/coco/dataset.py", "launch/jobs/export.py"),
        *("library/convert.py", "report/exhibits/axes.py", "report/exhibits/differences.py"),
        "report/render/figures.py",
    ),
    # what is taken where nothing is said
    "gn": ("config/norm.py", "library/convert.py"),
    "resnet": ("config/model.py",),
    "fashion_scenes": ("config/data.py",),
    # an option of data=, and the layouts' own readers
    "imagefolder": ("cli/data.py", "data/checks/imagefolder.py", "data/images/imagefolder.py"),
    "kinetics": ("data/checks/kinetics.py",),
    "coco": ("data/checks/coco.py",),
    # the packages
    "torchvision": ("cli/doctor.py", "cli/verbs.py", "engine/device.py", "launch/jobs/export.py"),
    "timm": ("engine/device.py",),
}


@pytest.mark.parametrize(("group", "kind"), KINDS)
def test_a_kind_is_listed_under_its_own_name_and_can_be_built(group: str, kind: str) -> None:
    cls = classes_of(group)[kind]
    assert cls.kind == kind and cls.group == group
    assert callable(import_text(cls.builder))


@pytest.mark.parametrize("group", GROUPS)
def test_a_field_has_one_type_in_all_kinds(group: str) -> None:
    """The schema of a command line is that of all kinds together; null stands for what nobody has given."""
    for cls in classes_of(group).values():
        for f in dataclasses.fields(cls):
            known, hint = fields_of(group)[f.name]
            own = f.metadata.get("spelling", hints_of(cls)[f.name])
            assert hint in (own, own | None), f"{cls.__name__}.{f.name}"
            assert known.metadata["part"] == f.metadata["part"]
            assert not takes_none(own) or f.default in (None, dataclasses.MISSING), f"{cls.__name__}.{f.name}"


@pytest.mark.parametrize(("group", "kind"), KINDS)
def test_a_field_of_another_kind_is_refused_with_what_it_is_for(group: str, kind: str) -> None:
    own = hints_of(classes_of(group)[kind])
    for name in fields_of(group):
        if name in own:
            continue
        with pytest.raises(
            ValueError, match=rf"^{group}\.{name} is not for kind {kind}, got 1; leave it out, it is for "
        ) as error:
            build_kind(group, {"kind": kind, name: 1})
        # It is no misspelling of a key that this kind has: model.block of a ResNet was told to mean model.blocks.
        assert str(error.value).endswith(f"; or choose another {group}=")
        assert "\n" not in str(error.value)


def strange_words(source: str, where: str) -> Iterator[str]:
    """The comparisons with a kind, and the names of kinds as text, in a file of gnexp."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for side in sides:
                if isinstance(side, ast.Attribute) and side.attr == "kind":
                    of = ast.unparse(side.value)
                    if of.rpartition(".")[2] in (*GROUPS, "config"):
                        yield f"{where}:{node.lineno}: compares {of}.kind"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            for name in CLASSES & {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}:
                yield f"{where}:{node.lineno}: asks for a {name}"
        if isinstance(node, ast.Constant) and node.value in NAMES:
            places = OTHER_MEANINGS.get(str(node.value), ())
            if where not in places:
                yield f"{where}:{node.lineno}: names {node.value}"


def own_modules() -> set[str]:
    """The files that declare kinds."""
    found = {f"{importlib.import_module(cls.__module__).__file__}" for _, cls in _classes()}
    lists = {str(PACKAGE / room / "kinds" / "__init__.py") for room in ("nn", "models", "data")}
    return found | lists


def _classes() -> Iterator[tuple[str, type]]:
    for group in GROUPS:
        yield from classes_of(group).items()


def test_nothing_asks_for_the_name_of_a_kind() -> None:
    exempt = own_modules()
    found = [
        words
        for path in sorted(PACKAGE.rglob("*.py"))
        if str(path) not in exempt
        for words in strange_words(path.read_text(encoding="utf-8"), str(path.relative_to(PACKAGE)))
    ]
    assert not found, "\n".join(found)


def test_every_other_meaning_is_there_and_in_one_file() -> None:
    for word, files in OTHER_MEANINGS.items():
        for file in files:
            tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
            texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            assert word in texts, f"{file} has no {word}: leave it out of OTHER_MEANINGS"


def test_a_planted_name_is_found() -> None:
    planted = "def f(run):\n    if run.norm.kind in ('bn', 'brn'):\n        return 1\n"
    assert len(list(strange_words(planted, "engine/device.py"))) == 3
    # A kind's class is its name in another guise.
    assert len(list(strange_words("isinstance(run.norm, BatchNormConfig)", "engine/device.py"))) == 1
