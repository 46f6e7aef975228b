"""gnexp doctor: what is installed, granted and free here, a line each; exit code 1 if something needed is broken."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gnexp import __version__
from gnexp.cli.settings import settings_of
from gnexp.compose.composer import Composer
from gnexp.config.keys import group_options
from gnexp.config.kinds import class_of, offers
from gnexp.launch.launch import start_job
from gnexp.system.exit_codes import EXIT_DONE, EXIT_FAILED
from gnexp.system.hardware import default_threads, num_cores, will_use_cuda

OK, WARNING, BROKEN = "ok", "warning", "BROKEN"
_PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "numpy", "pillow")
_LITTLE_DISK = 5.0  # GiB: some checkpoints of ResNet-50
_SHARED_MEMORY = Path("/dev/shm")
_SEMAPHORES_KIB = 36  # of a run's two loader processes (data/chunks.py): 9, 4 KiB each
_MEMINFO, _CGROUP_MEMORY = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")


class Finding(NamedTuple):
    """One line."""

    state: str  # OK | WARNING | BROKEN
    what: str
    detail: str


def main(words: list[str]) -> int:
    """Prints the findings; returns 1 if one is broken."""
    settings = settings_of("doctor", words)
    findings = [*_versions()]
    ended = start_job(["doctor"], dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if ended.exit_code == EXIT_DONE:
        findings += _machine(json.loads(ended.out))
    else:
        said = ended.errors.decode(errors="replace").strip().splitlines()
        findings.append(Finding(BROKEN, "worker", said[-1] if said else f"exit code {ended.exit_code}"))
    findings += [*_norms(), *_folders(), *(_writable(key, Path(place)) for key, place in settings.items())]
    state, what = (max(len(finding[column]) for finding in findings) for column in (0, 1))
    for finding in findings:
        print(f"{finding.state:<{state}}  {finding.what:<{what}}  {finding.detail}".rstrip())
    return EXIT_FAILED if any(finding.state == BROKEN for finding in findings) else EXIT_DONE


def _versions() -> Iterator[Finding]:
    yield Finding(OK, "gnexp", __version__)
    try:
        own = metadata.metadata("gnexp")
        needs = _needs(own.get_all("Requires-Dist") or [])
        python = own["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        yield Finding(WARNING, "gnexp", "not installed, so that the bounds of what it needs are not known")
        needs, python = {}, ""
    yield _version("python", platform.python_version(), python)
    for name in _PACKAGES:
        try:
            yield _version(name, metadata.version(name), needs.get(name, ""))
        except metadata.PackageNotFoundError:
            yield Finding(BROKEN, name, "not installed: pip install gnexp")


def _version(name: str, version: str, bounds: str) -> Finding:
    if is_within(version, bounds):
        return Finding(OK, name, version)
    return Finding(WARNING, name, f"{version}, gnexp needs {bounds}")


def _needs(requirements: list[str]) -> dict[str, str]:
    """Package -> bounds, of "torch>=2.9" and the like; what only extras or other machines need is left out."""
    found = map(Requirement, requirements)
    here = {"extra": ""}
    return {
        canonicalize_name(need.name): str(need.specifier)
        for need in found
        if need.marker is None or need.marker.evaluate(here)
    }


def is_within(version: str, bounds: str) -> bool:
    """Whether a version meets bounds such as ">=3.11,<3.14"; a release candidate comes before its release."""
    try:
        return SpecifierSet(bounds).contains(Version(version), prereleases=True)
    except InvalidVersion:  # of somebody's own build
        return False


def _machine(found: Mapping[str, Any]) -> Iterator[Finding]:
    yield Finding(OK, "commit", f"{found['commit'][:12]}{', with changes' if found['dirty'] else ''}")
    yield Finding(OK, "system", f"{found['system']}, {found['host']}")
    yield Finding(OK, "processor", found["processor"])
    cores = f"{num_cores()} granted of {found['cores']}, {default_threads()} threads a run"
    yield Finding(OK, "cores", cores)
    yield Finding(OK, "memory", _memory())
    yield _shared_memory()
    gpus: list[dict[str, Any]] = found["gpus"]
    for index, gpu in enumerate(gpus):
        yield Finding(OK, f"gpu {index}", f"{gpu['name']}, {gpu['gib']:.0f} GiB")
    if not gpus and will_use_cuda("auto"):
        detail = f"there is one that torch cannot use: CUDA {found['cuda']}, driver {found['driver']}"
        yield Finding(WARNING, "gpu", detail)
    elif not gpus:
        yield Finding(OK, "gpu", "none: runs use the processor")
    else:
        yield Finding(OK, "cuda", f"{found['cuda']}, driver {found['driver']}")
        yield _backend("nccl", found["nccl"] or "", "several GPUs need it")
    yield _backend("gloo", "available" if found["gloo"] else "", "several processes need it")
    embedded: str = found["embedded"]
    yield Finding(BROKEN if embedded else OK, "embedded images", embedded or "whole")


def _backend(name: str, version: str, need: str) -> Finding:
    return Finding(OK, name, version) if version else Finding(WARNING, name, f"not available; {need}")


def _memory() -> str:
    try:
        lines = _MEMINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    free, whole = (kib.get(key, 0) / 2**20 for key in ("MemAvailable", "MemTotal"))
    try:
        granted = f", {int(_CGROUP_MEMORY.read_text(encoding='utf-8')) / 2**30:.1f} GiB granted"
    except (OSError, ValueError):  # no Linux container, or "max": no limit
        granted = ""
    return f"{free:.1f} GiB free of {whole:.1f}{granted}"


def _shared_memory() -> Finding:
    """Of /dev/shm, which processes of one run need little of: for semaphores, and NCCL for GPUs that have no link."""
    try:
        multiprocessing.Lock()
        usage = shutil.disk_usage(_SHARED_MEMORY)
    except OSError as error:
        reason = f"no semaphores ({error.strerror or error}); loader processes need them, else data.loader_workers=0"
        return Finding(WARNING, "shared memory", f"{_SHARED_MEMORY}: {reason}")
    size = f"{_SHARED_MEMORY}, {_size(usage.free)} free of {_size(usage.total)}"
    if usage.free < _SEMAPHORES_KIB * 1024:
        return Finding(
            WARNING, "shared memory", f"{size}; loader processes need {_SEMAPHORES_KIB} KiB for semaphores"
        )
    return Finding(OK, "shared memory", size)


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:.1f} MiB" if num_bytes >= 2**20 else f"{num_bytes // 1024} KiB"


def _norms() -> Iterator[Finding]:
    """Those of installed packages."""
    found = offers()
    for kind, origin in found.origins.items():
        yield Finding(OK, f"norm={kind}", f"of package {origin}")
    for note in found.notes:
        yield Finding(WARNING, "norm of a package", note)


def _folders() -> Iterator[Finding]:
    """Where each data set that is kept in a folder is looked for."""
    composer = Composer()
    for name in group_options("data"):
        config = composer.load([f"data={name}"]).data
        traits = class_of("data", config.kind)
        what = f"data={name}"
        if config.root is not None:
            folder = Path(config.root).expanduser().resolve() / traits.unpacked
            is_there = folder.is_dir()
            origin = "generated" if traits.is_generated else "downloaded"
            yield Finding(OK, what, str(folder) if is_there else f"{folder}, not there; {origin} when needed")
        elif traits.reads_folder:
            yield Finding(OK, what, "no folder of its own; give data.root=/path/to/it")


def _writable(key: str, place: Path) -> Finding:
    """Tries a file in a directory, or in the nearest one above it that is there."""
    above = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        return Finding(BROKEN, key, f"{place.absolute()} cannot be written: {error.strerror or error}")
    free = shutil.disk_usage(above).free / 2**30
    detail = (
        f"{place.absolute()}{'' if above == place.absolute() else ', not there yet'}, {free:.1f} GiB free"
    )
    return Finding(OK if free >= _LITTLE_DISK else WARNING, key, detail)
