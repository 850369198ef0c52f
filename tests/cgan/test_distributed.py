"""Several processes that train together, without Ray."""

from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing

from freqquest.cgan.parallel import Worker
from tests.cgan.conftest import epoch, small, trainer, weights


def train_two_epochs(rank: int, world_size: int, folder: str, preset: str) -> None:
    """Leaves each epoch's losses, and the parameters, in the folder."""
    torch.set_num_threads(1)
    address = f"file://{folder}/rendezvous"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=world_size)
    model = trainer(small(preset))
    worker = Worker(rank=rank, world_size=world_size)
    figures = [epoch(model, number, worker) for number in (0, 1)]
    torch.save({"figures": figures, "weights": weights(model)}, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def outcomes(folder: Path, world_size: int, preset: str) -> list[dict]:
    folder.mkdir()
    torch.multiprocessing.spawn(train_two_epochs, args=(world_size, str(folder), preset), nprocs=world_size)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world_size)]


@pytest.mark.parametrize("preset", ["reference", "default"])
def test_one_two_and_three_workers_train_the_same_model(tmp_path, preset):
    (alone,) = outcomes(tmp_path / "1", 1, preset)
    for world_size in (2, 3):  # of the batch of four, two each, or one, one and two
        together = outcomes(tmp_path / str(world_size), world_size, preset)
        for other in together:
            assert torch.equal(other["weights"], together[0]["weights"])
        for ours, theirs in zip(alone["figures"], together[0]["figures"], strict=True):
            assert ours == pytest.approx(theirs, rel=2e-3, abs=1e-4)
        # Adam's first steps are as long for the smallest gradient, whose sign is rounding: hence the mean.
        assert (together[0]["weights"] - alone["weights"]).abs().mean() < 2e-6
        assert together[0]["figures"][0] != together[0]["figures"][1]
