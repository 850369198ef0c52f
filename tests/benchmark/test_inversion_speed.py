import torch

from freqquest.benchmark.inversion_speed import measure_inversion


def test_one_core_and_the_device_are_timed():
    num_threads = torch.get_num_threads()
    speed = measure_inversion(torch.device("cpu"), num_clips=1)
    assert (speed["device"], speed["num_clips"]) == ("cpu", 1)
    assert speed["device_s"] > 0
    assert speed["core_s"] > 0
    assert torch.get_num_threads() == num_threads
