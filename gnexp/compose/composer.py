"""From conf/ and a command line to runs: what a key may be, what an experiment chooses, which runs it expands to.

Beside cli.py, exhibits.py and the sweeper plugin the only importer of Hydra and OmegaConf.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import shlex
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gnexp.compose.conf_files import ConfFiles, is_choice
from gnexp.compose.fit import check_fit, choices_of_task
from gnexp.compose.init import resolve_init
from gnexp.compose.overrides import check, explain, is_hydra, parse, question, respell, runs_dir_of, values_of
from gnexp.config import RunConfig, from_dict
from gnexp.config.experiment import (
    Cell,
    Expansion,
    ExperimentConfig,
    Parent,
    ScaleBlock,
    grid_points,
    more_seeds,
)
from gnexp.config.keys import (
    ALL_EXPERIMENTS,
    COMMAND_KEYS,
    DEFAULT_SCALE,
    check_choice,
    merge_overrides,
)
from gnexp.config.spelling import spell
from gnexp.runs.directory import find_run_dir

CELL = "cell"  # init=cell: another cell's run
_KEPT = ("model.default_num_groups", "device", "threads")  # what a parent has from its child, beside its norm
FROZEN = {"frozen_bn": "bn"}  # norm -> the norm whose statistics it freezes


class Composer:
    """Composes runs from gnexp's conf/ and the user's own directories."""

    def __init__(self, directories: Sequence[str] = ()) -> None:
        """Takes the user's directories: `--config-dir` and `hydra.searchpath`.

        Raises:
            ValueError: a directory that does not exist.
        """
        self._files = ConfFiles(directories)
        self.options = self._files.options
        self._named_parents: dict[tuple[str, ...], Parent | None] = {}
        self._experiments: dict[tuple[str, str], ExperimentConfig] = {}

    def load(self, overrides: Sequence[str]) -> DictConfig:
        """Composes a config, Hydra's own part left out.

        Raises:
            ValueError: a key, a choice or a value that the schema refuses.
        """
        values = [o for o in parse(overrides) if not is_choice(o.key_or_group) and not is_hydra(o)]
        config = copy.deepcopy(self._files.choose(overrides))
        try:
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except (HydraException, OmegaConfBaseException) as error:
            raise ValueError(explain(error)) from None
        return config

    def run(self, overrides: Sequence[str]) -> RunConfig:
        """Composes one run from overrides as Hydra takes them (see `flatten`)."""
        return to_run(self.load(self._without_experiment(overrides)))

    def _without_experiment(self, overrides: Sequence[str]) -> list[str]:
        """What is composed of flattened overrides: gnexp's own experiments choose by their overrides alone.

        Without their names they share what is composed of the same files. A user's file may hold anything.
        """
        return [o for o in overrides if self._files.has_users or not o.startswith("experiment=")]

    def experiment(self, name: str, scale: str) -> tuple[ExperimentConfig, ScaleBlock]:
        """An experiment and its block at a scale; at "null" a question without fixed choices or grid.

        Raises:
            ValueError: the experiment does not exist or has no block for the scale.
        """
        check_choice("scale", scale, self.options("scale"))
        if name == "null":
            return ExperimentConfig(name="null"), ScaleBlock()
        check_choice("experiment", name, self.options("experiment"))
        experiment = self._experiment(name, scale)
        if scale not in experiment.scales:
            known = ", ".join(experiment.scales)
            raise ValueError(f"experiment {name} has no block for scale={scale}, only for {known}")
        return experiment, experiment.scales[scale]

    def _experiment(self, name: str, scale: str) -> ExperimentConfig:
        if (name, scale) not in self._experiments:
            node = self.load([f"experiment={name}", f"scale={scale}"]).experiment
            self._experiments[name, scale] = typing.cast(ExperimentConfig, OmegaConf.to_object(node))
        return self._experiments[name, scale]

    def flatten(self, overrides: Sequence[str]) -> list[str]:
        """Puts an experiment's and its scale block's fixed choices under the user's overrides, which win."""
        merged = self._merge(overrides)
        parent = self._parent(tuple(merged))
        if parent is None:
            return merged
        place = find_run_dir(runs_dir_of(merged), parent.run).weights
        named = [f"init={spell(parent.run.run_id)}", f"init_path={spell(str(place.resolve()))}"]
        return merge_overrides(merged, named)

    def check_fit(self, overrides: Sequence[str]) -> None:
        """Refuses data, task and model that do not go together, with the command that works.

        Raises:
            ValueError: they do not.
        """

        def merge(words: Sequence[str]) -> list[str]:
            return self._without_experiment(self._merge(words))

        check_fit(self._files, merge, overrides)

    def parent(self, overrides: Sequence[str]) -> Parent | None:
        """The run that `init=cell` names: the one whose final weights the run of these overrides starts from."""
        return self._parent(tuple(self._merge(overrides)))

    def _merge(self, overrides: Sequence[str]) -> list[str]:
        experiment, block = self.experiment(*question(overrides))
        named = [o for o in respell(overrides) if o != "experiment=null"]  # Hydra has no null groups
        asked = merge_overrides(respell(experiment.overrides), respell(block.overrides), named)
        return merge_overrides(choices_of_task(self._files, self._without_experiment(asked)), asked)

    def _parent(self, merged: tuple[str, ...]) -> Parent | None:
        if merged not in self._named_parents:
            self._named_parents[merged] = self._compose_parent(merged)
        return self._named_parents[merged]

    def _compose_parent(self, merged: Sequence[str]) -> Parent | None:
        """Of "init='cell: batch=32'": these words, with the run's own scale, seed, norm, model and device.

        A detector's model is its backbone as a classifier, a frozen batch norm's norm the batch norm that it freezes.
        """
        values = {o.key_or_group: (spell(values_of(o)[0]), o) for o in parse(merged)}
        init = str(values_of(values["init"][1])[0]) if "init" in values else ""
        head, _, words = init.partition(":")
        if head.strip() != CELL:
            return None
        kept = [f"{key}={values[key][0]}" for key in ("scale", "seed") if key in values]
        norm = values["norm"][0] if "norm" in values else None
        kept += [f"norm={FROZEN.get(norm, norm)}"] if norm else []
        kept += [
            f"{key}={value}" for key, (value, _) in values.items() if key in _KEPT or key.startswith("norm.")
        ]
        unasked = ("init=", "init_path=", "seed=")
        rest = [override for override in merged if not override.startswith(unasked)]
        backbone = self.load(self._without_experiment(rest)).model.backbone or values.get("model", (None,))[0]
        kept += [f"model={backbone}"] if backbone else []
        own = merge_overrides(kept, shlex.split(words))
        try:
            check(own, self.options, sweep=False)
            return Parent(run=self.run(self.flatten(own)), overrides=tuple(own))
        except ValueError as error:
            raise ValueError(f"init={init}: {error}") from None

    def _parents(self, overrides: Sequence[str], seeds: Sequence[int]) -> Iterator[Parent]:
        for seed in seeds:
            parent = self.parent([*overrides, f"seed={seed}"])
            if parent is None:
                return
            yield parent

    def expansions(
        self, experiment: str, scale: str, overrides: Sequence[str] = (), *, seeds: int | None = None
    ) -> list[Expansion]:
        """Every run of an experiment (see `expand`), or with `all` of each that has a block for the scale.

        Raises:
            ValueError: as expand, with the experiment's name where it is one of all.
        """
        if experiment != ALL_EXPERIMENTS:
            return [self.expand(experiment, scale, overrides, seeds=seeds)]
        check_choice("scale", scale, self.options("scale"))
        found = []
        for name in self.options("experiment"):
            if scale in self._experiment(name, scale).scales:
                try:
                    found.append(self.expand(name, scale, overrides, seeds=seeds))
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return found

    def expand(
        self, experiment: str, scale: str, overrides: Sequence[str] = (), *, seeds: int | None = None
    ) -> Expansion:
        """Every run of an experiment at a scale.

        Values that `overrides` gives for a grid axis replace that axis; a list of values for any other key adds an
        axis; `seed=0,1` or `seeds` replaces the experiment's seeds.

        Raises:
            ValueError: an unknown name, a cell whose fields do not fit together, or no cell that is not left out.
        """
        question, block = self.experiment(experiment, scale)
        grid: dict[str, list[Any]] = {**question.grid, **block.grid}
        own_seeds, fixed, replaced = list(block.seeds), [], False
        not_the_runs = {"experiment", "scale", *COMMAND_KEYS}  # so no part of a cell's command
        places = []
        for text, override in zip(respell(overrides), parse(overrides), strict=True):
            key = override.key_or_group
            if key == "seed":
                own_seeds, replaced = values_of(override), True
            elif key in grid or (override.is_sweep_override() and not is_hydra(override)):
                grid[key] = values_of(override)
            elif key == "runs_dir":
                places = [text]  # where init=RUN_ID is looked up
            elif key not in not_the_runs and not is_hydra(override):
                fixed.append(text)
        if seeds is not None:
            if replaced:
                raise ValueError("give seed or seeds, not both")
            if seeds < 1:
                raise ValueError(f"seeds must be at least 1, got {seeds}")
            own_seeds, replaced = list(range(seeds)), True

        named = [f"experiment={experiment}"] if question.overrides or block.overrides else []
        named += [f"scale={scale}"] if scale != DEFAULT_SCALE else []
        cells = []
        for coordinates in grid_points(grid, [*question.left_out, *block.left_out]):
            command = merge_overrides(
                named, fixed, [f"{key}={spell(value)}" for key, value in coordinates.items()]
            )
            try:
                self.check_fit([*command, *places])
                first = self.run(self.flatten([*command, *places]))
            except ValueError as error:
                where = " ".join(f"{key}={spell(value)}" for key, value in coordinates.items())
                raise ValueError(f"{where}: {error}" if where else str(error)) from None
            chosen = own_seeds if replaced else own_seeds + more_seeds(block, coordinates, grid)
            chosen = list(dict.fromkeys(chosen))
            runs = tuple(dataclasses.replace(first, seed=seed) for seed in chosen)
            parents = tuple(self._parents([*command, *places], chosen))
            if parents:  # another seed starts from another run
                runs = tuple(self.run(self.flatten([*command, f"seed={seed}", *places])) for seed in chosen)
            spelled = {k: v if isinstance(v, str | int | float) else spell(v) for k, v in coordinates.items()}
            cells.append(Cell(coordinates=spelled, overrides=tuple(command), runs=runs, parents=parents))
        axes = {key: tuple(dict.fromkeys(cell.coordinates[key] for cell in cells)) for key in grid}
        return Expansion(
            experiment=experiment, question=question.question, scale=scale, axes=axes, cells=tuple(cells)
        )


def to_run(config: DictConfig) -> RunConfig:
    """A composed config as a run, the command line's own keys left out.

    Raises:
        ValueError: fields that do not fit together.
    """
    plain = typing.cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    if plain["init"] or plain["init_path"]:
        found = resolve_init(plain["init"], plain["init_path"], Path(plain["runs_dir"]))
        plain["init"], plain["init_path"] = found
    return from_dict({f.name: plain[f.name] for f in dataclasses.fields(RunConfig)})


def expand(experiment: str, scale: str, overrides: Sequence[str] = (), seeds: int | None = None) -> Expansion:
    """Every run of one of gnexp's own experiments at a scale (see `Composer.expand`)."""
    return _shared().expand(experiment, scale, overrides, seeds=seeds)


@functools.cache
def _shared() -> Composer:
    return Composer()
