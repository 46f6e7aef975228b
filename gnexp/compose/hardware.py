"""How fast machines are that are not here: conf/hardware/, a YAML of images per second each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnexp.config import RunConfig
from gnexp.config.fields import require
from gnexp.config.keys import check_choice, conf_dir
from gnexp.config.yaml_file import read_yaml

_FOLDER = "hardware"
MEASURED, MODELLED = "measured", "modelled"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A speed of training, of the whole machine."""

    model: str  # a file of conf/model
    gmacs: float  # multiply-adds of one image's forward pass, in billions
    precision: str
    images_per_gpu: int  # of one step
    images_per_second: float
    basis: str  # measured | modelled
    norm: str | None = None  # a kind; None = whatever the norm is
    source: str = ""  # where a measured one stands

    def __post_init__(self) -> None:
        for name in ("gmacs", "images_per_gpu", "images_per_second"):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and 0 < value < math.inf
            require(is_number, f"{name} must be a positive number, got {value}")
        require(
            self.basis in (MEASURED, MODELLED), f"basis must be {MEASURED} or {MODELLED}, got {self.basis}"
        )
        require(
            self.basis == MODELLED or bool(self.source),
            "a measured row needs a source: where the number stands",
        )


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A machine."""

    title: str
    gpus: int
    rows: tuple[Row, ...]

    def speed(self, run: RunConfig, macs: int) -> tuple[float, str] | None:
        """Images per second of a run, and whether that was measured; None where no row has its precision.

        A row of the same network in the same batches serves as it is, a measured one first. Else the row whose work for
        a step is nearest, scaled by the operations of an image: that is modelled, whatever the row is.

        Args:
            run: takes all of the machine's GPUs.
            macs: multiply-adds of one image's forward pass.
        """
        rows = [row for row in self.rows if row.precision == (run.precision or "fp32")]
        rows = [row for row in rows if row.norm in (None, run.norm.kind)]
        own = run.total_batch / self.gpus
        if exact := [row for row in rows if row.model == run.model.name and row.images_per_gpu == own]:
            best = max(exact, key=lambda row: (row.basis == MEASURED, row.norm is not None))
            return best.images_per_second, best.basis
        if not rows:
            return None
        work = math.log(own * macs)
        near = min(rows, key=lambda row: abs(math.log(row.images_per_gpu * row.gmacs * 1e9) - work))
        return near.images_per_second * near.gmacs * 1e9 / macs, MODELLED


def hardware_names(directories: Sequence[str] = ()) -> list[str]:
    """What there is, in conf/ and in a user's directories."""
    return sorted({path.stem for folder in _folders(directories) for path in folder.glob("*.yaml")})


def load_hardware(name: str, directories: Sequence[str] = ()) -> Hardware:
    """A machine by its file's name; a user's own file goes before gnexp's of the same name, so that rows can be added.

    Raises:
        ValueError: there is none, or its file is not as it should be.
    """
    check_choice(_FOLDER, name, hardware_names(directories))
    path = next(p for folder in _folders(directories) if (p := folder / f"{name}.yaml").is_file())
    values = read_yaml(path)
    try:
        require(isinstance(values, dict), f"expected title, gpus and rows, got {type(values).__name__}")
        rows = tuple(_row(number, row) for number, row in enumerate(values.pop("rows", None) or [], 1))
        found = Hardware(rows=rows, **values)
        require(isinstance(found.gpus, int) and found.gpus >= 1, f"gpus must be 1 or more, got {found.gpus}")
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    return found


def _row(number: int, values: Any) -> Row:
    try:
        return Row(**values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"row {number}: {str(error).replace('Row.__init__()', 'it')}") from None


def _folders(directories: Sequence[str]) -> list[Path]:
    places = [Path(directory.removeprefix("file://")) for directory in directories]
    return [place / _FOLDER for place in (*places, conf_dir())]
