"""Readings of a fake GPU and a fake NVML."""

import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from freqquest.cgan import hardware
from freqquest.cgan.hardware import HardwareMonitor, describe_hardware, find_limit
from tests.cgan.conftest import CPU

GPU = torch.device("cuda", 0)


class FakeNvml:
    """The module pynvml, for one GPU."""

    class NVMLError(Exception):
        pass

    def __init__(self):
        self.errors, self.num_reads, self.busy = set(), 0, 40

    def nvmlInit(self):  # noqa: N802
        self._check("init")

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        assert uuid == "GPU-1234"
        return "handle"

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802
        self._check("utilization")
        self.num_reads += 1
        return SimpleNamespace(gpu=self.busy, memory=1)

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802
        self._check("power")
        return 123_400  # mW

    def _check(self, name):
        if name in self.errors:
            raise self.NVMLError("Insufficient Permissions")


@pytest.fixture
def nvml(monkeypatch):
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    properties = SimpleNamespace(uuid="1234", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 2 * 2**30)
    monkeypatch.setattr(hardware, "_NVML_INTERVAL_S", 0)
    return fake


def test_a_cpu_training_reads_the_memory_of_its_process(nvml):
    (memory,) = HardwareMonitor(CPU).read().items()
    assert memory == ("process_mib", pytest.approx(psutil.Process().memory_info().rss / 2**20, 0.5))


def test_a_gpu_training_reads_load_power_and_memory(nvml):
    readings = HardwareMonitor(GPU).read()
    assert readings.pop("process_mib") > 1
    assert readings == {"gpu_mib": 2048, "gpu_busy": 0.4, "gpu_power_w": 123.4}


def test_nvml_is_read_once_a_second_at_most(nvml, monkeypatch):
    monkeypatch.setattr(hardware, "_NVML_INTERVAL_S", 1000)
    monitor = HardwareMonitor(GPU)
    assert monitor.read()["gpu_busy"] == 0.4
    nvml.busy = 90
    assert monitor.read()["gpu_busy"] == 0.4
    assert nvml.num_reads == 1


@pytest.mark.parametrize(
    ("error", "left"),
    [("init", set()), ("utilization", {"gpu_power_w"}), ("power", {"gpu_busy"})],
)
def test_what_nvml_refuses_is_left_out_and_told_once(nvml, capsys, error, left):
    nvml.errors = {error}
    monitor = HardwareMonitor(GPU)
    for _ in range(2):
        assert set(monitor.read()) == {"process_mib", "gpu_mib"} | left
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("Insufficient Permissions")


def test_a_missing_nvml_is_no_error(nvml, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert set(HardwareMonitor(GPU).read()) == {"process_mib", "gpu_mib"}


EPOCH = {"clips_per_s": 1000.0, "step_ms": 16.0, "process_mib": 500.0}
SHARES = {"loader_share": 0.01, "launch_share": 0.95, "device_share": 0.04}
LOAD = {"gpu_mib": 900.0, "gpu_busy": 0.13, "gpu_power_w": 120.0}


def test_the_description_of_a_gpu_has_medians_and_peaks_of_the_epochs_that_know_them(nvml):
    slow_start = EPOCH | SHARES | {"clips_per_s": 10.0, "step_ms": 1600.0}
    history = [slow_start, EPOCH | SHARES | LOAD, EPOCH | SHARES | LOAD | {"gpu_mib": 950.0}]
    described = describe_hardware(history, GPU)
    assert described["device"] == "NVIDIA H100"
    assert described["gpu_total_mib"] == 80 * 1024
    assert (described["clips_per_s"], described["step_ms"]) == (1000, 16)
    assert (described["gpu_busy"], described["gpu_mib"]) == (0.13, 950)
    assert described["limit"] == "launches"
    assert "GPU is busy 13% of the time" in described["hint"]


def test_the_description_of_a_cpu_has_no_gpu(nvml):
    described = describe_hardware([EPOCH | SHARES], CPU)
    assert (described["device"], described["limit"], described["hint"]) == (
        "CPU",
        "computing",
        None,
    )
    assert {name for name, value in described.items() if value is None} == {
        *("gpu_total_mib", "gpu_busy", "gpu_power_w", "gpu_mib", "hint")
    }


def test_epochs_without_shares_tell_no_limit(nvml):
    described = describe_hardware([EPOCH], CPU)
    assert (described["limit"], described["loader_share"]) == (None, None)


@pytest.mark.parametrize(
    ("loader", "launch", "busy", "limit", "hint"),
    [
        (0.3, 0.6, 0.5, "loader", "give each worker more memory or cores"),
        (0.0, 0.9, 0.13, "launches", "a batch size of auto trains faster"),
        (0.0, 0.9, 0.95, "kernels", None),
        (0.0, 0.1, 0.2, "kernels", None),  # graphs: the host waits for the device
        (0.0, 0.1, None, "kernels", None),
        (0.0, 0.9, None, None, None),
    ],
)
def test_the_limit_of_a_gpu(loader, launch, busy, limit, hint):
    found = find_limit(loader_share=loader, launch_share=launch, gpu_busy=busy, is_gpu=True)
    assert found[0] == limit
    assert (hint is None and found[1] is None) or hint in found[1]
