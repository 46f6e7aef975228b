"""The fields of another package's network, built without weights, whose norms become the run's."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gnexp.config.fields import require, science_field
from gnexp.config.model import ModelConfig
from gnexp.config.norm import NormConfig
from gnexp.config.task import CLASSIFICATION

_REGISTERED = re.compile(r"^@register_model\b.*?^def (\w+)\(", re.DOTALL | re.MULTILINE)
_NUM_OFFERED = 3


@dataclass(frozen=True, kw_only=True)
class ForeignConfig(ModelConfig):
    """A classifier of images that a package has under a name; its activations stay its own.

    Its traits:
        package: whose models it is among.
        extra: what pip installs that package with; None where gnexp needs it anyway.
    """

    task: ClassVar = CLASSIFICATION
    is_foreign: ClassVar = True
    package: ClassVar[str]
    extra: ClassVar[str | None] = None

    arch: str = science_field(title="architecture", told_by="model")

    @property
    def label(self) -> str:
        return self.arch

    def check_together(self) -> None:
        require(
            re.fullmatch(r"\w+", self.arch) is not None,
            f"model.arch must be the name of a network in {self.package}, letters, digits and '_' without the tag of "
            f"weights behind a dot, since it is built without weights; got {self.arch!r}",
        )

    def resolved(self, norm: NormConfig, *, is_without_masks: bool) -> ModelConfig:
        """Refuses a norm with an activation of its own: the network's own activations would follow it."""
        require(
            not norm.own_activation,
            f"norm={norm.word} has an activation of its own, and so has model.arch={self.arch} behind each norm: "
            "take another norm (of a sweep by norm=bn,gn), or a network that leaves the activation to its norm "
            "(model=thin_resnet)",
        )
        return self

    def describe(self) -> str:
        return f"{self.package}'s, its norms replaced"

    def check_installed(self) -> None:
        listed = registered(self.package)
        fix = f"pip install 'gnexp[{self.extra}]'" if self.extra else f"pip install {self.package}"
        require(bool(listed), f"model={self.kind} needs the package {self.package}: {fix}")
        if self.arch not in listed:
            close = difflib.get_close_matches(self.arch, sorted(listed), _NUM_OFFERED)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise ValueError(f"{self.package} has no classifier model.arch={self.arch}{hint}")


@functools.cache
def registered(package: str) -> frozenset[str]:
    """The names of a package's classifiers, read from its source: to import it takes torch and seconds.

    Nothing where it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    folder = Path(spec.submodule_search_locations[0]) / "models"  # in folders below are other tasks' networks
    return frozenset(
        name for path in folder.glob("*.py") for name in _REGISTERED.findall(path.read_text(encoding="utf-8"))
    )
