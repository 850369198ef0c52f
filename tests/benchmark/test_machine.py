import os
from pathlib import Path

import pytest

from freqquest.benchmark import machine

ALL_CORES = list(range(os.cpu_count()))


def test_hardware_is_described_with_whatever_the_platform_tells(monkeypatch):
    described = machine.describe_hardware()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(machine, "_CPU_INFO", Path("/missing"))
    described_without = machine.describe_hardware()
    for each in (described, described_without):
        assert each["processor"]
        assert each["cores"] >= 1
        assert each["memory_gib"] >= 1


def test_without_affinity_all_cores_count_and_binding_does_nothing(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert machine.usable_cores() == ALL_CORES
    assert not machine.can_bind_to_cores()
    machine.bind_to_cores([0])


@pytest.mark.skipif(not machine.can_bind_to_cores(), reason="this platform cannot bind processes")
def test_a_bound_process_may_use_its_cores_only():
    cores = machine.usable_cores()
    machine.bind_to_cores(cores[:1])
    try:
        assert machine.usable_cores() == cores[:1]
    finally:
        machine.bind_to_cores(cores)
