"""What a package may be and what is said of one that is wrong, before gnexp's schema takes anything of it."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from gnexp.config.keys import group_options
from gnexp.config.kinds import own_classes
from gnexp.config.packages import Offers, read_offers
from tests.example_package import write_metadata

OWN = own_classes("norm")
HEAD = """
from dataclasses import dataclass, field
from typing import ClassVar
from gnexp.config import NormConfig
from gnexp.config.fields import hardware_field, science_field
from gnexp.config.norm import NormName
"""
GOOD = """
@dataclass(frozen=True, kw_only=True)
class Config(NormConfig):
    builder: ClassVar = "a_package.layers:build"
    names: ClassVar = {"rms": NormName("RMS", "root mean square")}
    statistics_over: ClassVar = "sample"
    kind: str = science_field("rms")
"""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs packages, each with its module's source and its entry points, and reads what they offer."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(*packages: tuple[str, str, dict[str, str]]) -> Offers:
        for name, source, points in packages:
            module = name.replace("-", "_")
            (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
            monkeypatch.setitem(sys.modules, module, None)  # so that it leaves with the test
            monkeypatch.delitem(sys.modules, module)
            write_metadata(tmp_path, name, points)
        found: list[EntryPoint] = []
        for installed in distributions(path=[str(tmp_path)]):
            found += installed.entry_points
        return read_offers(sorted(found, key=lambda point: point.value), OWN)

    return install


def test_a_package_offers_its_kind(read) -> None:
    found = read(("a-package", HEAD + GOOD, {"rms": "a_package:Config"}))
    assert [*found.classes] == ["rms"] and found.classes["rms"]().label == "rms"
    assert str(found.origins["rms"]) == "a-package 1"
    assert not found.faults and not found.notes


def field(text: str) -> str:
    return f"{GOOD}    {text}\n"


def trait(text: str) -> str:
    return GOOD.replace("    kind:", f"    {text}\n    kind:")


WRONG = [
    (
        "raise RuntimeError('two\\nlines')",
        r"a_package:Config does not import \(RuntimeError: two lines\); mend or",
    ),
    ("raise SystemExit(3)", r"does not import \(SystemExit: 3\)"),
    ("", r"does not import \(AttributeError: .*Config"),
    ("Config = 3", "must name a subclass of gnexp.config.NormConfig, got 3"),
    ("class Config: kind = 'rms'", "must name a subclass of gnexp.config.NormConfig"),
    (
        GOOD.replace("@dataclass(frozen=True, kw_only=True)\n", ""),
        r"must have @dataclass\(frozen=True, kw_only",
    ),
    (
        GOOD.replace('science_field("rms")', 'science_field("rmsn")'),
        r"kind must be science_field\('rms'\), got 'rmsn'",
    ),
    (
        GOOD.replace("a_package.layers:build", "build"),
        "builder must be the text 'module:function', got 'build'",
    ),
    (GOOD.replace("    builder", "    no_builder"), "builder must be the text 'module:function', got None"),
    (
        GOOD.replace('"sample"', '"batch"'),
        "statistics_over must be 'sample', 'worker', 'all_workers' or None, got",
    ),
    (trait("module: ClassVar = 'Rms'"), "module must be the text 'module:class' or None, got 'Rms'"),
    (GOOD.replace('{"rms": N', '{"r": N'), "names must be label -> NormName, 'rms' among the labels"),
    (
        GOOD.replace('"RMS", "root mean square"', '"RMS", "root", marker="~"'),
        "names must be label -> NormName",
    ),
    (
        GOOD.replace('{"rms"', '{"gn": NormName("G", "g"), "rms"'),
        "names must be without labels of other norms",
    ),
    (
        trait('site_words: ClassVar = ("bn",)'),
        "site_words must be a tuple of words that no other norm has",
    ),
    (
        trait('site_words: ClassVar = ("same",)'),
        "site_words must be a tuple of words that no other norm has",
    ),
    (trait("takes_groups: ClassVar = 1"), "takes_groups must be True or False, got 1"),
    (
        trait('freezes: ClassVar = "wn"'),
        (
            "freezes must be one of gn, gn_ws, bn, sync_bn, brn, frozen_bn, frn, evonorm_s0, ln2d, grms, none or None, "
            "got 'wn'"
        ),
    ),
    (field("scale: float = 1.0"), "Config.scale must be a science_field or a hardware_field"),
    (
        field("scale: dict = science_field(None)"),
        "Config.scale must hold bool, int, float, str or a tuple",
    ),
    (
        field("eps: str = science_field('x')"),
        "Config.eps is science of type str, and other norms have a field",
    ),
    (
        field("impl: str = science_field('x')"),
        "Config.impl is science of type str, .* that is hardware",
    ),
    (field("scale: float | None = science_field(1.0)"), "its default must be None, got 1.0"),
    (field("scale: float = science_field(1.0, gt=2)"), "norm.scale must be above 2, got 1.0"),
]


@pytest.mark.parametrize(("source", "fault"), WRONG)
def test_a_wrong_package_is_left_out_with_a_line(read, source: str, fault: str) -> None:
    good = GOOD.replace("rms", "other").replace("a_package", "b_package")
    found = read(
        ("a-package", HEAD + source, {"rms": "a_package:Config"}),
        ("b-package", HEAD + good, {"other": "b_package:Config"}),
    )
    assert [*found.classes] == ["other"]
    assert found.notes == (found.faults["rms"],)
    assert found.faults["rms"].startswith("norm 'rms' of package a-package 1 cannot be used: ")
    assert "\n" not in found.faults["rms"]
    with pytest.raises(ValueError, match=fault):
        raise ValueError(found.faults["rms"])


@pytest.mark.parametrize("name", ["r-ms", "1st", "null", "Same", "all"])
def test_a_name_is_a_word_that_a_command_line_reads_as_itself(read, name: str) -> None:
    found = read(("a-package", HEAD + GOOD, {name: "a_package:Config"}))
    assert not found.classes and "a name must be of letters, digits and '_'" in found.faults[name]


def test_of_two_packages_with_one_name_neither_is_taken(read) -> None:
    found = read(
        ("a-package", HEAD + GOOD, {"rms": "a_package:Config"}),
        ("b-package", HEAD + GOOD, {"rms": "b_package:Config"}),
    )
    assert not found.classes
    assert found.faults["rms"] == (
        "norm 'rms' of package a-package 1 cannot be used: "
        "package b-package 1 has a norm of this name too; uninstall one"
    )


def test_gnexps_own_names_stay_its_own(read) -> None:
    found = read(("a-package", HEAD + GOOD, {"gn": "a_package:Config", "rms": "a_package:Config"}))
    assert [*found.classes] == ["rms"] and not found.faults
    assert found.notes == (
        "norm 'gn' of package a-package 1 is not used: gnexp has a norm of this name; rename it in the package",
    )


def test_torch_at_reading_time_is_told(read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    source = "import sys\nsys.modules['torch'] = sys\n" + HEAD + GOOD  # the real one would take its seconds
    found = read(("a-package", source, {"rms": "a_package:Config"}))
    sys.modules.pop("torch")
    assert [*found.classes] == ["rms"]
    assert "imports torch where its fields are declared" in found.notes[0]


def test_no_package_can_take_the_name_of_a_choice() -> None:
    """conf/norm has more choices than kinds, such as ln: each is a label of a kind, which packages cannot have."""
    labels = {label for cls in OWN.values() for label in cls.names}
    assert {*group_options("norm")} <= labels
