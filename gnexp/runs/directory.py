"""A run's directory: the name of every file in it, and how one is found. No other module spells these names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gnexp.config import RunConfig
from gnexp.config.keys import did_you_mean

RESULT = "result.json"  # also named in sentences


@dataclass(frozen=True)
class RunDirectory:
    """One run's directory and the paths of its files, whether they exist or not.

    Args:
        path: the directory, named RUN_ID-LABEL.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """The directory's own name."""
        return self.path.name

    @property
    def run_id(self) -> str:
        """The id that the directory's name begins with."""
        return self.name.partition("-")[0]

    @property
    def spec(self) -> Path:
        """What runs: gnexp.runs.spec."""
        return self.path / "spec.json"

    def spec_of(self, rank: int) -> Path:
        """The spec that one of an outer torchrun's processes reads; the first has the run's own."""
        return self.path / f".rank{rank}.spec.json" if rank else self.spec

    @property
    def env(self) -> Path:
        """The commit and the machine of each segment."""
        return self.path / "env.json"

    @property
    def metrics(self) -> Path:
        """A line an epoch, the same on every machine."""
        return self.path / "metrics.jsonl"

    @property
    def timing(self) -> Path:
        """A line an epoch, of this machine."""
        return self.path / "timing.jsonl"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's events."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """Folder of the last checkpoints."""
        return self.path / "checkpoints"

    def checkpoint(self, epoch: int, step: int) -> Path:
        """A checkpoint; the order of the names is the order of time."""
        return self.checkpoints / f"epoch{epoch:05d}-step{step:09d}.pt"

    @property
    def all_checkpoints(self) -> list[Path]:
        """Those that there are, newest first."""
        return sorted(self.checkpoints.glob("epoch*-step*.pt"), reverse=True)

    @property
    def weights(self) -> Path:
        """The final weights; a diverged run has none."""
        return self.path / "weights.pt"

    @property
    def result(self) -> Path:
        """Written last: where it is, the run has finished."""
        return self.path / RESULT

    @property
    def log(self) -> Path:
        """What a person would have seen, and tracebacks."""
        return self.path / "log.txt"

    @property
    def status(self) -> Path:
        """What has become of the last segment: gnexp.runs.status."""
        return self.path / "status.json"

    @property
    def error(self) -> Path:
        """What a failed trainer of a sweep said last; gone once the run is started again."""
        return self.path / "error.txt"

    @property
    def lock(self) -> Path:
        """Held by the process that writes here."""
        return self.path / ".lock"

    @property
    def skipped(self) -> Path:
        """The files of the data that could not be read, and why."""
        return self.path / "skipped.jsonl"

    @property
    def old_skipped(self) -> Path:
        """The same of a run that an earlier gnexp began: name, tab, reason."""
        return self.path / "skipped.txt"

    @property
    def classes(self) -> Path:
        """The names of the classes, in the order of the labels."""
        return self.path / "classes.json"

    @property
    def images(self) -> Path:
        """Folder of the pictures that `gnexp eval save_images=N` draws."""
        return self.path / "images"

    @property
    def pictures(self) -> Path:
        """What those pictures show: gnexp.runs.pictures."""
        return self.images / "pictures.json"

    def detections(self, eval_stats: str) -> Path:
        """What was detected under some running statistics, as COCO's own tools read it."""
        return self.path / f"detections-{eval_stats}.json"

    @property
    def all_detections(self) -> list[Path]:
        """Those that there are."""
        return sorted(self.path.glob("detections-*.json"))

    def export(self, eval_stats: str | None, suffix: str) -> Path:
        """Where an export of the weights goes unless told otherwise; eval_stats=None where the norm has none."""
        return self.path / f"{'export' if eval_stats is None else f'export-{eval_stats}'}.{suffix}"

    @property
    def num_epochs(self) -> int:
        """Epochs whose metrics are written."""
        try:
            return self.metrics.read_bytes().count(b"\n")
        except OSError:
            return 0


def hash_beside(path: Path) -> Path:
    """The file that holds the sha256 of a file of tensors, as `sha256sum --check` reads it."""
    return path.with_name(f"{path.name}.sha256")


def put_aside(path: Path) -> Path:
    """Where a damaged checkpoint goes."""
    return path.with_name(f"{path.name}.damaged")


def unwritable(path: Path | RunDirectory, error: OSError) -> str:
    """The line about a directory that cannot be written."""
    return f"cannot write to {path} ({error.strerror or error}); free it or choose another with runs_dir=..."


def run_dirs(runs_dir: Path) -> list[RunDirectory]:
    """Every directory in runs_dir, in the order of their names; none where runs_dir is not there."""
    paths = sorted(runs_dir.iterdir()) if runs_dir.is_dir() else []
    return [RunDirectory(path) for path in paths if path.is_dir()]


def find_run_dir(runs_dir: Path, run: RunConfig) -> RunDirectory:
    """A run's directory: the one that bears its id, or the name that a new one gets."""
    own = runs_dir / f"{run.run_id}-{run.label}"
    if own.is_dir() or not runs_dir.is_dir():
        return RunDirectory(own)
    # A label holds names that are no science; a run begun under another label is still the same run.
    others = (path for path in sorted(runs_dir.glob(f"{run.run_id}-*")) if path.is_dir())
    return RunDirectory(next(others, own))


def named_run_dir(name: str, runs_dir: Path) -> RunDirectory:
    """The run's directory that a person named by its path or a file in it, its id, or the start of its id.

    Raises:
        ValueError: there is none, or more than one.
    """
    for path in (Path(name), Path(name).parent):  # `gnexp train` ends with the path of the result
        given = RunDirectory(path)
        if given.spec.is_file() and Path(name).exists():
            return given
    begun = [directory for directory in run_dirs(runs_dir) if directory.spec.is_file()]
    found = [directory for directory in begun if directory.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{name} is the start of {len(found)} runs: {', '.join(d.name for d in found[:5])}")
    ids = [directory.run_id for directory in begun]
    raise ValueError(f"no run {name} in {runs_dir} ({len(ids)} runs there){did_you_mean(name, ids)}")
