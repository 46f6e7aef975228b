"""From conf/ and a command line to runs: whose choice wins, and which runs an experiment expands to."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gnexp.compose.conf_files import conf_files, to_plain
from gnexp.compose.digest import SHA256, other_settings
from gnexp.compose.experiment import Asked, Experiments, ask
from gnexp.compose.fit import check_fit, choices_of_task
from gnexp.compose.foreign import foreign, of_kinds
from gnexp.compose.init import resolve_init, resolve_layout
from gnexp.compose.overrides import check, parse, question, respell
from gnexp.compose.parents import init_of, named_cell, parent_words
from gnexp.config import RunConfig, from_dict
from gnexp.config.experiment import Cell, Expansion, Parent
from gnexp.config.keys import ALL_EXPERIMENTS, merge_overrides
from gnexp.config.layouts import LAYOUTS
from gnexp.config.spelling import spell


class Composer:
    """Composes runs from gnexp's conf/ and the user's own directories."""

    def __init__(self, directories: Sequence[str] = ()) -> None:
        """Takes the user's directories: `--config-dir` and `hydra.searchpath`.

        Raises:
            ValueError: a directory that does not exist.
        """
        self._files = conf_files(directories)
        self.options = self._files.options
        self._experiments = Experiments(self._files)
        self._merged: dict[tuple[str, ...], list[str]] = {}
        self._parents: dict[tuple[str, ...], Parent | None] = {}
        self._with_sha256: dict[tuple[str, ...], bool] = {}  # words -> whether the sha256 of their data holds
        self._undigested: dict[str, dict[str, Any]] = {}  # data set -> its settings that its sha256 is not of

    def load(self, overrides: Sequence[str]) -> DictConfig:
        """Composes a config by Hydra, its own part left out.

        Raises:
            ValueError: a key, a choice or a value that the schema refuses.
        """
        return self._files.compose(overrides)

    def whole(self, overrides: Sequence[str]) -> DictConfig:
        """Composes a config by Hydra, its own part in it.

        Raises:
            ValueError: as load.
        """
        return self._files.whole(overrides)

    def run(self, overrides: Sequence[str]) -> RunConfig:
        """Composes one run from overrides as Hydra takes them (see `flatten`).

        Raises:
            ValueError: a value that the schema refuses, or fields that do not fit together.
        """
        names_mean = any(override.startswith("data.mean=") for override in overrides)
        words = self._without_experiment(self._digested(overrides))
        return to_run(self._files.merge(words), keeps_mean=names_mean)

    def _digested(self, overrides: Sequence[str]) -> list[str]:
        """With no sha256 of the data where its settings are not those of the sha256 in its file."""
        words = self._without_experiment(overrides)
        if not self._files.has_users:  # whose files may set data from anywhere
            words = [o for o in words if o.startswith(("scale=", "data=", "data."))]
        key = tuple(words)
        if key not in self._with_sha256:
            self._with_sha256[key] = True
            with contextlib.suppress(ValueError):  # a mistake, which who composes the words tells
                data = self._files.merge(words)["data"]
                if others := other_settings(words, data, lambda: self._files.alone("data", words)):
                    self._undigested[data["name"]] = others
                    self._with_sha256[key] = False
        return list(overrides) if self._with_sha256[key] else [*overrides, f"{SHA256}=null"]

    def notes(self, overrides: Sequence[str]) -> list[str]:
        """A line for each data set so far to which these overrides have given other settings than its sha256's."""
        given = {override.key_or_group for override in parse(overrides)}
        lines = []
        for name, others in self._undigested.items():
            named = [f"{key}={spell(value)}" for key, value in others.items() if key in given]
            if named:
                lines.append(
                    f"the sha256 of data={name} is of the settings in its YAML; with {' '.join(named)} "
                    "there is none to compare"
                )
        return lines

    def _without_experiment(self, overrides: Sequence[str]) -> list[str]:
        """What is composed of flattened overrides: gnexp's own experiments choose by their overrides alone.

        A user's file may hold anything.
        """
        return [o for o in overrides if self._files.has_users or not o.startswith("experiment=")]

    def flatten(self, overrides: Sequence[str]) -> list[str]:
        """Puts an experiment's and its scale block's fixed choices under the user's overrides, which win."""
        merged = self._merge(overrides)
        parent = self._parent(merged)
        return merged if parent is None else merge_overrides(merged, init_of(parent, merged))

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
        return self._parent(self._merge(overrides))

    def _merge(self, overrides: Sequence[str]) -> list[str]:
        key = tuple(overrides)
        if (
            key not in self._merged
        ):  # a cell is merged to see whether it fits, to be composed, and for its parent
            experiment, block = self._experiments.find(*question(overrides))
            named = [o for o in respell(overrides) if o != "experiment=null"]  # Hydra has no null groups
            asked = merge_overrides(respell(experiment.overrides), respell(block.overrides), named)
            chosen = choices_of_task(self._files, self._without_experiment(asked))
            self._merged[key] = self._digested(merge_overrides(chosen, asked))
        return self._merged[key]

    def _parent(self, merged: Sequence[str]) -> Parent | None:
        key = tuple(merged)
        if key not in self._parents:
            words = named_cell(merged)
            self._parents[key] = None if words is None else self._compose_parent(merged, words)
        return self._parents[key]

    def _compose_parent(self, merged: Sequence[str], words: str) -> Parent:
        def backbone_of(overrides: Sequence[str]) -> str | None:
            found: str | None = self._files.merge(self._without_experiment(overrides))["model"]["backbone"]
            return found

        own = parent_words(merged, words, backbone_of)
        try:
            check(own, self.options, sweep=False)
            return Parent(run=self.run(self.flatten(own)), overrides=tuple(own))
        except ValueError as error:
            raise ValueError(f"init=cell:{words}: {error}") from None

    def experiments(self, scale: str) -> list[str]:
        """Every experiment that has a block for a scale."""
        return self._experiments.names(scale)

    def expansions(
        self, experiment: str, scale: str, overrides: Sequence[str] = (), *, seeds: int | None = None
    ) -> list[Expansion]:
        """Every run of an experiment (see `expand`), or with `all` of each that has a block for the scale.

        Raises:
            ValueError: as expand, with the experiment's name where it is one of all.
        """
        if experiment != ALL_EXPERIMENTS:
            return [self.expand(experiment, scale, overrides, seeds=seeds)]
        found = []
        for name in self.experiments(scale):
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
        found, block = self._experiments.find(experiment, scale)
        asked = ask(experiment, found, block, scale, overrides, seeds=seeds)
        hardware = of_kinds(asked.fixed)
        cells = []
        dropped: list[tuple[str, str]] = []
        for coordinates, command in asked.cells():
            try:
                if hardware:
                    others = self._foreign(hardware, command)
                    dropped += others.items()
                    command = [word for word in command if word not in others]
                cells.append(self._cell(asked, coordinates, command))
            except ValueError as error:
                where = " ".join(f"{key}={spell(value)}" for key, value in coordinates.items())
                raise ValueError(f"{where}: {error}" if where else str(error)) from None
        axes = {key: tuple(dict.fromkeys(cell.coordinates[key] for cell in cells)) for key in asked.grid}
        return Expansion(
            experiment=experiment,
            question=found.question,
            scale=scale,
            axes=axes,
            cells=tuple(cells),
            dropped=tuple(dict.fromkeys(dropped)),
        )

    def _foreign(self, hardware: Sequence[str], command: Sequence[str]) -> dict[str, str]:
        merged = self._without_experiment(self._merge(command))
        return foreign(hardware, merged, self._files.choices(merged))

    def _cell(self, asked: Asked, coordinates: dict[str, Any], command: Sequence[str]) -> Cell:
        words = [*command, *asked.places]
        self.check_fit(words)
        seeds = asked.seeds_of(coordinates)
        if named_cell(self._merge(words)) is None:
            first = self.run(self.flatten(words))
            runs, parents = [_of_seed(first, seed) for seed in seeds], []
        else:  # another seed starts from another run
            own = [self._merge([*command, f"seed={seed}", *asked.places]) for seed in seeds]
            parents = [parent for parent in map(self._parent, own) if parent is not None]
            runs = [self.run(merge_overrides(o, init_of(p, o))) for o, p in zip(own, parents, strict=True)]
        spelled = {k: v if isinstance(v, str | int | float) else spell(v) for k, v in coordinates.items()}
        return Cell(coordinates=spelled, overrides=tuple(command), runs=tuple(runs), parents=tuple(parents))


def _of_seed(run: RunConfig, seed: int) -> RunConfig:
    return run if seed == run.seed else dataclasses.replace(run, seed=seed)  # which checks all of it again


def to_run(config: Mapping[str, Any], *, keeps_mean: bool = False) -> RunConfig:
    """A config, composed by Hydra or merged, as a run; the command line's own keys are left out.

    Args:
        config: of all keys.
        keeps_mean: data.mean is what somebody named; else that of a file of weights for other pixels takes its place.

    Raises:
        ValueError: fields that do not fit together.
    """
    if isinstance(config, DictConfig):
        config = to_plain(config)
    plain = {field.name: config[field.name] for field in dataclasses.fields(RunConfig)}
    if plain["init"] or plain["init_path"]:
        found = resolve_init(plain["init"], plain["init_path"], Path(config["runs_dir"]))
        plain["init"], plain["init_path"] = found
        plain["init_layout"] = layout = resolve_layout(plain["init_layout"], *found)
        if layout in LAYOUTS and plain["data"].get("channels") == 3 and not keeps_mean:
            plain["data"] = {**plain["data"], "mean": LAYOUTS[layout].mean}
    return from_dict(plain)


def expand(experiment: str, scale: str, overrides: Sequence[str] = (), seeds: int | None = None) -> Expansion:
    """Every run of one of gnexp's own experiments at a scale (see `Composer.expand`)."""
    return _shared().expand(experiment, scale, overrides, seeds=seeds)


@functools.cache
def _shared() -> Composer:
    return Composer()
