"""Two processes that train together, without Ray."""

from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing

from freqquest.cgan.config import CganConfig
from freqquest.cgan.step import CganTrainer


def train_one_step(rank: int, folder: str, distributed: bool) -> None:
    """Each rank has its own clips; leaves both networks' parameters in the folder."""
    torch.set_num_threads(1)
    address = f"file://{folder}/rendezvous-{distributed}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    trainer = CganTrainer(CganConfig(), 2, torch.device("cpu"), seed=0, distributed=distributed)
    source = torch.Generator().manual_seed(rank)
    clips = torch.rand(2, 1, 128, 512, generator=source)
    trainer.step(clips, torch.tensor([0, 1]), torch.randn(2, 100, generator=source))
    networks = (trainer.generator, trainer.discriminator)
    parameters = [torch.cat([value.flatten() for value in network.parameters()]).detach() for network in networks]
    torch.save(parameters, Path(folder) / f"{distributed}-{rank}.pt")
    torch.distributed.destroy_process_group()


def parameters_after_a_step(folder: Path, distributed: bool) -> list[list[torch.Tensor]]:
    torch.multiprocessing.spawn(train_one_step, args=(str(folder), distributed), nprocs=2)
    return [torch.load(folder / f"{distributed}-{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_workers_with_different_clips_keep_equal_parameters_in_both_networks(tmp_path):
    first, second = parameters_after_a_step(tmp_path, distributed=True)
    for ours, theirs in zip(first, second, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)
    first, second = parameters_after_a_step(tmp_path, distributed=False)
    for ours, theirs in zip(first, second, strict=True):
        assert (ours - theirs).abs().max() > 1e-5, "the test would not see that gradients are not shared"
