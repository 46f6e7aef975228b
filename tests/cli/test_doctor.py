"""gnexp doctor: a line each, and exit code 1 for what is broken."""

import re
import types
from importlib import metadata

import pytest
import torch

import gnexp
from gnexp.cli import doctor
from gnexp.cli import main as cli
from gnexp.cli.doctor import BROKEN, is_within
from gnexp.launch import launch
from gnexp.system import hardware


def lines_of(out):
    """The name -> (state, detail)."""
    rows = (line.split(maxsplit=1) for line in out.splitlines())
    return {rest.split("  ")[0]: (state, rest.split("  ", 1)[-1].strip()) for state, rest in rows}


@pytest.mark.usefixtures("warm")
def test_it_says_what_is_here(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["doctor"]) == 0
    out = capfd.readouterr().out
    found = lines_of(out)
    assert found["torch"] == ("ok", torch.__version__.split("+")[0])
    assert found["embedded images"] == ("ok", "whole")
    assert found["cores"][1].startswith(f"{hardware.num_cores()} granted of ")
    assert "GiB free of" in found["memory"][1]
    assert re.fullmatch(r"/dev/shm, [\d.]+ [MK]iB free of [\d.]+ [MK]iB", found["shared memory"][1])
    assert found["runs_dir"][1].startswith(f"{tmp_path / 'runs'}, not there yet, ")
    for name, folder in (("cifar10", "cifar-10-batches-py"), ("eurosat", "eurosat/2750")):
        place = tmp_path / "data" / folder
        assert found[f"data={name}"] == ("ok", f"{place}, not there; downloaded when needed")
    column = out.splitlines()[0].index(gnexp.__version__)
    assert all(line[column - 1] == " " != line[column] for line in out.splitlines())
    assert not list(tmp_path.iterdir())


def test_shared_memory_that_loader_processes_cannot_start_in_is_told(monkeypatch):
    for kib, state in ((35, doctor.WARNING), (36, doctor.OK)):
        usage = types.SimpleNamespace(free=kib * 1024, total=64 * 1024)
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _, usage=usage: usage)
        found = doctor._shared_memory()
        assert found.state == state and found.detail.startswith(f"/dev/shm, {kib} KiB free of 64 KiB")


def test_what_is_broken_makes_exit_code_1(tmp_path, monkeypatch, capfd):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr(launch, "TRAINER", ("/bin/sh", "-c", "echo gnexp: failed: boom >&2; exit 1"))
    assert cli.main(["doctor", f"runs_dir={tmp_path / 'file'}", f"results_dir={tmp_path}"]) == 1
    found = lines_of(capfd.readouterr().out)
    assert found["worker"] == (BROKEN, "gnexp: failed: boom")
    assert found["runs_dir"] == (BROKEN, f"{tmp_path / 'file'} cannot be written: Not a directory")
    assert found["results_dir"][0] != BROKEN


@pytest.mark.parametrize(
    ("version", "bounds", "expected"),
    [
        ("3.11.7", ">=3.11,<3.14", True),
        ("3.14.0", "<3.14,>=3.11", False),
        ("3.9.1", ">=3.11,<3.14", False),
        ("2.14.1+cu130", ">=2.9", True),
        ("2.8.0", ">=2.9", False),
        ("2.9.0rc1", ">=2.9", False),
        ("2.10.0.dev20260101+cu130", ">=2.9", True),
        ("1.3.2", "~=1.3.5", False),  # the operators of pip, all of them
        ("2.9.1", ">=2.9,!=2.9.1", False),
        ("our-build", ">=2.9", False),
        ("1.0", "", True),
    ],
)
def test_bounds(version, bounds, expected):
    assert is_within(version, bounds) is expected


MACHINE = {
    "commit": "0123456789abcdef", "dirty": True, "system": "Linux x86_64", "host": "here", "processor": "a processor",
    "cores": 8, "cuda": "13.0", "driver": "600", "nccl": "", "gloo": False, "embedded": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("gpus", "will_use", "said"),
    [
        ([], True, {"gpu": ("warning", "there is one that torch cannot use: CUDA 13.0, driver 600")}),
        (
            [{"name": "a GPU", "gib": 79.6}] * 2,
            True,
            {"gpu 1": ("ok", "a GPU, 80 GiB"), "cuda": ("ok", "13.0, driver 600"),
             "nccl": ("warning", "not available; several GPUs need it")},
        ),
    ],
    ids=["unusable", "two"],
)  # fmt: skip
def test_gpus_are_told(monkeypatch, gpus, will_use, said):
    monkeypatch.setattr(doctor, "will_use_cuda", lambda device: will_use)
    found = {what: (state, detail) for state, what, detail in doctor._machine({**MACHINE, "gpus": gpus})}
    assert said.items() <= found.items()
    assert found["commit"] == ("ok", "0123456789ab, with changes")
    assert found["gloo"] == ("warning", "not available; several processes need it")


def test_what_cannot_be_known_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "_MEMINFO", tmp_path / "none")
    assert doctor._memory() == "unknown"

    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "metadata", none)
    monkeypatch.setattr(doctor.metadata, "version", lambda name: none(name) if name == "torch" else "0.1")
    found = {what: (state, detail) for state, what, detail in list(doctor._versions())[1:]}
    assert found["gnexp"][0] == "warning" and "the bounds of what it needs are not known" in found["gnexp"][1]
    assert found["torch"] == (BROKEN, "not installed: pip install gnexp")
    assert doctor._version("torch", "2.8", ">=2.9") == ("warning", "torch", "2.8, gnexp needs >=2.9")
