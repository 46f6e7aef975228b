"""Cores, threads and GPUs of this machine, without torch."""

import os

import pytest

from gnexp.system import hardware


def test_threads_are_the_users_or_the_cores(monkeypatch):
    for asked, expected in (("3", 3), ("0", hardware.num_cores()), ("many", hardware.num_cores())):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert hardware.default_threads() == expected
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert hardware.default_threads() == hardware.num_cores()


def test_cores_follow_a_containers_share(tmp_path, monkeypatch):
    share = tmp_path / "cpu.max"
    monkeypatch.setattr(hardware, "_CGROUP_CPU", share)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    for text, cores in (("max 100000", 8), ("300000 100000", 3), ("50000 100000", 1), ("", 8)):
        share.write_text(text, encoding="utf-8")
        assert hardware.num_cores() == cores


@pytest.mark.parametrize(("device", "uses"), [("cpu", False), ("cuda", True), ("cuda:1", True)])
def test_a_named_device_decides(device, uses):
    assert hardware.will_use_cuda(device) is uses


def test_hidden_gpus_are_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not hardware.will_use_cuda("auto")
