import pytest
import torch

from freqquest.benchmark.gpu_messages import Network, communication_s, count_messages, counting
from freqquest.cgan import distributed
from tests.benchmark.test_gpu import packed_file  # noqa: F401  # a fixture
from tests.cgan.conftest import epoch, small, trainer

MESSAGES = {
    "networks": "default",
    "batch_size": 16,
    "num_workers": 2,
    "sums": 2.0,
    "sum_bytes": 4e6,
    "gathers": 8.0,
    "gather_bytes": 1e6,
    "step_ms": 1.0,
}


def test_a_steps_messages_and_their_bytes_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "COMMUNICATE_ALONE", True)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1
    )
    model = trainer(small("default"))
    try:
        epoch(model, num_steps=1)  # tells the processes how many rows each has
        with counting() as sizes:
            epoch(model, num_steps=1)
    finally:
        torch.distributed.destroy_process_group()
    wide = {id(value) for value in model.generator.project.parameters()}
    values = [*model.generator.parameters(), *model.discriminator.parameters()]
    num_summed = sum(value.numel() for value in values if id(value) not in wide)
    assert len(sizes["all_reduce"]) == 2
    assert sum(sizes["all_reduce"]) == 4 * num_summed
    # Three normalizations forward and backward, a wide layer likewise, and the epoch's metrics.
    assert len(sizes["all_gather_into_tensor"]) == 3 * 2 + 2 + 1


def test_communication_takes_the_latency_of_each_message_and_the_time_of_all_bytes():
    slow_start = Network(latency_s=1.0, bytes_per_s=1e12)
    assert communication_s(MESSAGES, 8, slow_start) == pytest.approx(10, rel=1e-4)
    narrow = Network(latency_s=0, bytes_per_s=1e6)
    # A ring of two sends each addend once; each process contributes half of all rows.
    assert communication_s(MESSAGES, 2, narrow) == pytest.approx(4 + 1)
    assert communication_s(MESSAGES, 8, narrow) == pytest.approx(2 * 4 * 7 / 8 + 2 / 8 * 7)


@pytest.mark.slow
def test_messages_of_two_processes_are_counted(packed_file):  # noqa: F811
    messages = count_messages(packed_file, "default", batch_size=4, num_workers=2)
    assert (messages["sums"], round(messages["gathers"])) == (2, 8)
    assert messages["step_ms"] > 0
