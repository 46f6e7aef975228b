"""Says whose weights a file holds: `weights PATH`, a line `model<TAB>NAME`, then `norm<TAB>NAME`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import torch

from gnexp.config import NormConfig
from gnexp.config.kinds import classes_of
from gnexp.engine.weight_files import read_weights
from gnexp.system.exit_codes import EXIT_DONE

_BLOCK = re.compile(r"(?:^|\.)layer3\.(\d+)\.")
_MODELS = {23: "resnet101"}  # by the blocks of the third stage


def main(words: list[str]) -> int:
    """Prints them.

    Raises:
        ValueError: the file cannot be read as weights.
    """
    weights, _ = read_weights(Path(words[0]), None, torch.device("cpu"))
    model, norm = identify(weights)
    print(f"model\t{model}\nnorm\t{norm}")
    return EXIT_DONE


def identify(names: Iterable[str]) -> tuple[str, str]:
    """The model and norm in conf/ that tensors of these names belong to.

    Of names that no published ResNet has it is what comes nearest, a ResNet-50: loading then says what is missing.
    """
    names = list(names)
    blocks = {int(found[1]) for name in names if (found := _BLOCK.search(name))}
    has_statistics = any(name.endswith("running_mean") for name in names)
    norms = classes_of(
        NormConfig.group
    ).items()  # batch norm is the first with statistics, group norm without
    norm = next(kind for kind, cls in norms if cls.has_running_stats == has_statistics)
    return _MODELS.get(len(blocks), "resnet50"), norm
