"""gnexp.convert and the norms of installed packages: what is wrong with one is told in a line, whoever calls it."""

import sys

import pytest
import torch
from torch import nn

import gnexp
from gnexp.config.kinds import classes_of, fields_of, offers
from gnexp.config.norm import norm_config
from gnexp.nn.norms import conv_factory, norm_factory
from gnexp.system.installed import norm_entry_points
from tests.example_package import write_metadata

CONFIG = """
from dataclasses import dataclass
from typing import ClassVar
from gnexp.config import NormConfig
from gnexp.config.fields import science_field
from gnexp.config.norm import NormName

@dataclass(frozen=True, kw_only=True)
class Config(NormConfig):
    builder: ClassVar = "a_layer:build"
    names: ClassVar = {"own": NormName("OWN", "a norm of one's own")}
    kind: str = science_field("own")
"""
LAYER = """
import torch
from torch import nn
from gnexp.nn.norm_act import NormAct

class Half(NormAct):
    def forward(self, x, residual=None):
        return self.add_and_relu(x / 2, residual, x.shape)

def build(config, workers):
    return Half

def standardize(config):
    return lambda conv: conv
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package of these two sources."""

    def forget() -> None:
        for cached in (norm_entry_points, classes_of, fields_of, offers):
            cached.cache_clear()

    def write(config: str = CONFIG, layer: str = LAYER) -> None:
        for name, source in (("a_config", config), ("a_layer", layer)):
            (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
            monkeypatch.setitem(sys.modules, name, None)  # so that it leaves with the test
            monkeypatch.delitem(sys.modules, name)
        write_metadata(tmp_path, "a-package", {"own": "a_config:Config"})
        monkeypatch.syspath_prepend(tmp_path)
        forget()

    yield write
    forget()


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))


def trait(text: str) -> str:
    return CONFIG.replace("    kind:", f"    {text}\n    kind:")


def test_a_packages_norm_is_one_to_convert_to(install):
    install(trait('conv_builder: ClassVar = "a_layer:standardize"'))
    model = gnexp.convert(network(), "own")
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(model(x), model[0](x) / 2)


def test_convert_tells_why_a_package_cannot_be_used(install):
    install(config="import not_there")
    with pytest.raises(
        ValueError, match=r"^norm 'own' of package a-package 1 cannot be used: a_config:Config does"
    ):
        gnexp.convert(network(), "own")


def layer(build: str) -> dict[str, str]:
    head, _, rest = LAYER.partition("def build(config, workers):\n    return Half\n")
    return {"layer": f"{head}{build}{rest}"}


WRONG = [
    ({"layer": "import not_there"}, "a_layer:build does not import .ModuleNotFoundError: .*"),
    (
        layer("def build(config): return Half"),
        "a_layer:build ends with TypeError: build.* takes 1 positional .*",
    ),
    (layer("def build(config, workers): pass"), "a_layer:build must give a Callable, got NoneType"),
    (
        layer("def build(config, workers): return lambda channels, relu: nn.BatchNorm2d(channels)"),
        "the factory of a_layer:build must give a NormAct, got BatchNorm2d",
    ),
    (
        layer("def build(config, workers): return lambda channels, relu: None"),
        "the factory of a_layer:build must give a NormAct, got NoneType",
    ),
    (
        layer("def build(config, workers): return nn.BatchNorm2d"),
        "the factory of a_layer:build ends with TypeError: .* unexpected keyword argument 'relu'",
    ),
]


@pytest.mark.parametrize(("sources", "fault"), WRONG)
def test_a_mistake_of_a_packages_builder_is_named(install, sources, fault):
    install(**sources)
    said = (
        f"norm own of package a-package 1 cannot be built: {fault}; mend the package or choose another norm$"
    )
    with pytest.raises(ValueError, match=f"^{said}"):  # as a model builds it
        norm_factory(norm_config(kind="own"), 1)(8)
    model = network()
    with pytest.raises(ValueError, match=said):
        gnexp.convert(model, "own")
    assert type(model[1]) is nn.BatchNorm2d


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("not_there", "a_layer:not_there does not import .AttributeError: .*"),
        ("LAYER", "the signature of a_layer:LAYER ends with TypeError: 'x' is not a callable object"),
        ("nothing", "a_layer:nothing must give a Module, got NoneType"),
        ("plain", "a_layer:plain ends with TypeError: .* unexpected keyword argument 'affine'"),
    ],
)
def test_a_mistake_of_a_packages_module_is_named(install, source, fault):
    made = "\nLAYER = 'x'\ndef nothing(channels, affine, relu): pass\ndef plain(channels): return nn.Identity()\n"
    install(trait(f'module: ClassVar = "a_layer:{source}"'), LAYER + made)
    with pytest.raises(
        ValueError, match=f"norm own of package a-package 1 cannot be built: {fault}; mend the"
    ):
        gnexp.convert(network(), "own")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("pass", "a_layer:convs must give a Callable, got NoneType"),
        ("return lambda conv: None", "the factory of a_layer:convs must give a Module, got NoneType"),
        (
            "return lambda conv: 1 / 0",
            "the factory of a_layer:convs ends with ZeroDivisionError: division by zero",
        ),
    ],
)
def test_a_mistake_of_a_packages_convolutions_is_named(install, body, fault):
    install(trait('conv_builder: ClassVar = "a_layer:convs"'), f"{LAYER}\ndef convs(config): {body}\n")
    said = f"norm own of package a-package 1 cannot be built: {fault}; mend the package"
    with pytest.raises(ValueError, match=f"^{said}"):
        conv_factory(norm_config(kind="own"))(nn.Conv2d(3, 8, 1))
    with pytest.raises(ValueError, match=said):
        gnexp.convert(network(), "own")


def test_a_value_that_a_packages_norm_refuses_is_told_in_its_own_words(install):
    install(**layer("def build(config, workers): raise ValueError('no such workers')"))
    with pytest.raises(ValueError, match=r"no such workers$"):
        gnexp.convert(network(), "own")
