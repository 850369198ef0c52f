"""Several processes that train together, without Ray."""

from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing

from freqquest.cgan.distributed import Worker, from_first_worker
from tests.cgan.conftest import epoch, small, trainer, weights


def train_two_steps(rank: int, world_size: int, folder: str, preset: str) -> None:
    """Leaves each step's figures, and the parameters, in the folder."""
    torch.set_num_threads(1)
    address = f"file://{folder}/rendezvous"
    torch.distributed.init_process_group(
        "gloo", init_method=address, rank=rank, world_size=world_size
    )
    model = trainer(small(preset))
    worker = Worker(rank=rank, world_size=world_size)
    shared = from_first_worker(b"from rank 0" if rank == 0 else None)
    assert shared == b"from rank 0"
    figures = [epoch(model, number, worker, num_steps=1) for number in (0, 1)]
    torch.save({"figures": figures, "weights": weights(model)}, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def outcomes(folder: Path, world_size: int, preset: str) -> list[dict]:
    folder.mkdir()
    torch.multiprocessing.spawn(
        train_two_steps, args=(world_size, str(folder), preset), nprocs=world_size
    )
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world_size)]


@pytest.mark.parametrize(("preset", "world_size"), [("reference", 2), ("default", 3)])
def test_any_number_of_workers_trains_the_same_model(tmp_path, preset, world_size):
    (alone,) = outcomes(tmp_path / "alone", 1, preset)
    together = outcomes(
        tmp_path / "together", world_size, preset
    )  # of a batch of four: two each, or one, one and two
    for other in together:
        assert torch.equal(other["weights"], together[0]["weights"])
    # They differ by rounding, more after each update: Adam makes as much of the smallest gradient as of the largest.
    for ours, theirs, tolerance in zip(
        alone["figures"], together[0]["figures"], (3e-4, 1e-2), strict=True
    ):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=1e-5)
    assert together[0]["figures"][0] != together[0]["figures"][1]
