import random
import signal
from types import SimpleNamespace

import pytest

from freqquest.benchmark import chaos_monkey
from freqquest.benchmark.chaos_monkey import Monkey
from freqquest.benchmark.chaos_storage import STORAGE_FAULTS


class FakeMachines:
    """Records what is done to it."""

    def __init__(self):
        self.done = []

    can_spare_node = True

    def workers(self):
        return []

    def lose_node(self, rng):
        self.done.append("lost")

    def freeze_node(self, rng):
        self.done.append("frozen")
        return lambda: self.done.append("thawed")

    def lose_head(self):
        self.done.append("headless")

    def repair(self):
        self.done.append("repaired")


class FakeProcess:
    def __init__(self):
        self.signals = []

    def send_signal(self, number):
        self.signals.append(number)


def play(clock, seed=0, max_faults=40, seconds=400, **parts):
    """Let a monkey break things for a while; return it, the machines and the driver."""
    machines, process = FakeMachines(), FakeProcess()
    monkey = Monkey(
        machines, random.Random(seed), mean_interval_s=5.0, max_faults=max_faults, **parts
    )
    for _ in range(seconds):
        clock.now += 1.0
        monkey.watch(process, "tune_cnn", 1)
    return monkey, machines, process


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(chaos_monkey.time, "monotonic", lambda: clock.now)
    return clock


def test_all_kinds_of_faults_happen_at_random_times_that_a_seed_repeats(clock, tmp_path):
    proxy = SimpleNamespace(fault=None)
    monkey, machines, process = play(clock, proxy=proxy)
    names = {fault.name for fault in monkey.faults}
    assert {f"storage {each}" for each in STORAGE_FAULTS} <= names
    assert "disk full" not in names
    assert {"lost", "frozen", "headless", "thawed"} <= set(machines.done)
    assert {signal.SIGKILL, signal.SIGINT, signal.SIGTERM} == set(process.signals)
    again, _, _ = play(clock, proxy=SimpleNamespace(fault=None))
    assert again.faults == monkey.faults
    other, _, _ = play(clock, seed=1, proxy=SimpleNamespace(fault=None))
    assert other.faults != monkey.faults


def test_a_round_has_no_more_faults_than_wanted(clock):
    monkey, _, _ = play(clock, max_faults=3)
    assert len(monkey.faults) == 3


def test_faults_that_last_end_by_themselves_or_when_all_is_repaired(clock):
    proxy = SimpleNamespace(fault=None)
    monkey, machines, _ = play(clock, max_faults=40, seconds=500, proxy=proxy)
    assert machines.done.count("thawed") == machines.done.count("frozen") > 0
    assert proxy.fault is None
    monkey, machines, process = play(clock, max_faults=1, seconds=0, proxy=proxy)
    monkey._choices = lambda _: [(f"storage {STORAGE_FAULTS[0]}", monkey._fail_storage)]
    clock.now += 100.0
    monkey.watch(process, "predict", 1)
    assert proxy.fault == STORAGE_FAULTS[0]
    monkey.calm()
    assert proxy.fault is None
    assert machines.done == ["repaired"]
