"""The factory that models take, of whatever kind the norm is."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gnexp.config import NormConfig
from gnexp.config.kinds import import_text, package_of
from gnexp.nn.norm_act import NormAct, NormFactory


def norm_factory(config: NormConfig, workers: int) -> NormFactory:
    """The factory of a configured norm.

    Args:
        config: the norm.
        workers: virtual workers whose statistics batch normalization keeps apart.

    Raises:
        ValueError: the builder of a package's norm does not import.
    """
    try:
        build: Callable[[NormConfig, int], NormFactory] = import_text(config.builder)
    except Exception as error:  # of a stranger's module, which may raise anything
        if not (package := package_of(config.kind)):
            raise
        raise ValueError(
            f"norm {config.kind} of package {package} cannot be built: {config.builder} does not import "
            f"({type(error).__name__}: {' '.join(str(error).split())}); mend the package or choose another norm"
        ) from error
    return build(config, workers)


def name_norms(model: nn.Module) -> None:
    """Tells each norm its name in the model and checks that it fits there.

    Raises:
        ValueError: an impossible grouping, naming the layer, C and G.
    """
    for name, module in model.named_modules():
        if isinstance(module, NormAct):
            module.name = name
            module.check()
