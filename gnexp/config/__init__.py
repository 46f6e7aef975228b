"""The schema of conf/: frozen dataclasses, their cross-field checks, and run_id.

Every field is marked `science` (it can change a number) or `hardware` (it cannot, beyond rounding).
run_id is the hash of the science alone, so one identity serves the sweep, the run directory and the report.
"""

from gnexp.config.data import DataConfig, data_config
from gnexp.config.fields import science, to_dict
from gnexp.config.model import ModelConfig, model_config
from gnexp.config.norm import NormConfig, norm_config
from gnexp.config.recipe import RecipeConfig
from gnexp.config.run import RunConfig, from_dict
from gnexp.config.task import TaskConfig

__all__ = [
    "DataConfig",
    "ModelConfig",
    "NormConfig",
    "RecipeConfig",
    "RunConfig",
    "TaskConfig",
    "data_config",
    "from_dict",
    "model_config",
    "norm_config",
    "science",
    "to_dict",
]
