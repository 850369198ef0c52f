"""Several processes that train together, without Ray."""

from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing

from freqquest.cgan import distributed
from freqquest.cgan.distributed import Worker, first_problem, from_first_worker
from tests.cgan.conftest import BOTH_PRESETS, epoch, small, trainer, weights


def train_two_steps(preset: str, worker: Worker) -> dict:
    """Return each step's metrics, and the parameters."""
    model = trainer(small(preset))
    metrics = [epoch(model, number, worker, num_steps=1) for number in (0, 1)]
    return {"metrics": metrics, "weights": weights(model)}


def train_in_process(rank: int, world_size: int, folder: str, preset: str) -> None:
    torch.set_num_threads(1)
    address = f"file://{folder}/rendezvous"
    torch.distributed.init_process_group(
        "gloo", init_method=address, rank=rank, world_size=world_size
    )
    shared = from_first_worker(b"from rank 0" if rank == 0 else None)
    assert shared == b"from rank 0"
    assert first_problem(None) is None
    assert first_problem("no clips" if rank == 1 else None) == "no clips"
    trained = train_two_steps(preset, Worker(rank=rank, world_size=world_size))
    torch.save(trained, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("preset", "world_size"), [("reference", 2), ("default", 3)])
def test_any_number_of_workers_trains_the_same_model(tmp_path, preset, world_size):
    alone = train_two_steps(preset, Worker())
    # Two processes share a batch of four as two and two, three as one, one and two.
    arguments = (world_size, str(tmp_path), preset)
    torch.multiprocessing.spawn(train_in_process, args=arguments, nprocs=world_size)
    together = [torch.load(tmp_path / f"{rank}.pt") for rank in range(world_size)]
    for other in together:
        assert torch.equal(other["weights"], together[0]["weights"])
    # Rounding differs, and more so after an update: Adam scales up the smallest gradients.
    for ours, others, tolerance in zip(
        alone["metrics"], together[0]["metrics"], (3e-4, 1e-2), strict=True
    ):
        assert ours == pytest.approx(others, rel=tolerance, abs=1e-5)
    assert together[0]["metrics"][0] != together[0]["metrics"][1]


@BOTH_PRESETS
def test_a_single_worker_can_take_the_path_of_several(tmp_path, monkeypatch, preset):
    alone = train_two_steps(preset, Worker())
    sent = []
    gather = torch.distributed.all_gather_into_tensor

    def counted(output, values):
        sent.append(values.numel())
        gather(output, values)

    monkeypatch.setattr(torch.distributed, "all_gather_into_tensor", counted)
    monkeypatch.setattr(distributed, "COMMUNICATE_ALONE", True)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1
    )
    try:
        communicating = train_two_steps(preset, Worker())
    finally:
        torch.distributed.destroy_process_group()
    assert sent
    assert communicating["metrics"][0] == pytest.approx(alone["metrics"][0], rel=3e-4, abs=1e-5)
