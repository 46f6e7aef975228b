"""gnexp: the experiments of "Group Normalization" (Wu & He 2018), and what lies past them.

For other people's code (docs/library.md) it is a library too; torch is imported when something of it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gnexp.experiments.prediction import Predictor, load
    from gnexp.library.batch_norms import BatchRenorm, GhostBatchNorm
    from gnexp.library.conversion import Conversion, ConvertedLayer
    from gnexp.library.convert import convert, converted
    from gnexp.library.sample_norms import EvoNormS0, FilterResponseNorm, GroupNorm, GroupRMSNorm, LayerNorm2d
    from gnexp.ops.group_norm import group_norm

__all__ = [
    "BatchRenorm",
    "Conversion",
    "ConvertedLayer",
    "EvoNormS0",
    "FilterResponseNorm",
    "GhostBatchNorm",
    "GroupNorm",
    "GroupRMSNorm",
    "LayerNorm2d",
    "Predictor",
    "__version__",
    "convert",
    "converted",
    "group_norm",
    "load",
]

_HOMES = {
    "BatchRenorm": "library.batch_norms",
    "Conversion": "library.conversion",
    "ConvertedLayer": "library.conversion",
    "EvoNormS0": "library.sample_norms",
    "FilterResponseNorm": "library.sample_norms",
    "GhostBatchNorm": "library.batch_norms",
    "GroupNorm": "library.sample_norms",
    "GroupRMSNorm": "library.sample_norms",
    "LayerNorm2d": "library.sample_norms",
    "Predictor": "experiments.prediction",
    "convert": "library.convert",
    "converted": "library.convert",
    "group_norm": "ops.group_norm",
    "load": "experiments.prediction",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
