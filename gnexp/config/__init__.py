"""The schema of conf/: frozen dataclasses, their cross-field checks, and run_id.

Every field is marked `science` (it can change a number) or `hardware` (it cannot, beyond rounding).
run_id is the hash of the science alone, so one identity serves the sweep, the run directory and the report.
"""

from gnexp.config.data import DataConfig
from gnexp.config.fields import science, to_dict
from gnexp.config.model import ModelConfig
from gnexp.config.norm import NormConfig
from gnexp.config.recipe import RecipeConfig, TaskConfig
from gnexp.config.run import RunConfig, from_dict

__all__ = [
    "DataConfig",
    "ModelConfig",
    "NormConfig",
    "RecipeConfig",
    "RunConfig",
    "TaskConfig",
    "from_dict",
    "science",
    "to_dict",
]
