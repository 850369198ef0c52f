import copy

import numpy as np
import pytest
import torch

from freqquest.cgan.config import PRESETS, CganConfig, TrainConfig
from freqquest.cgan.epoch import Worker, train_epoch
from freqquest.cgan.step import CganTrainer
from freqquest.dataset.read import SplitArrays

CPU = torch.device("cpu")
CONFIG = CganConfig(batch_size=4)


def batches(num_clips: int = 4) -> list[SplitArrays]:
    """Two batches."""
    rng = np.random.default_rng(0)
    return [
        SplitArrays(
            spectrograms=rng.random((num_clips, 128, 512)).astype(np.float16),
            class_indices=np.arange(num_clips) % 2,
            clip_ids=[str(number) for number in range(num_clips)],
            recordings=[str(number) for number in range(num_clips)],
        )
        for _ in range(2)
    ]


def trainer(config: CganConfig = CONFIG, seed: int = 0) -> CganTrainer:
    return CganTrainer(config, num_classes=2, device=CPU, seed=seed)


def epoch(model: CganTrainer, number: int = 0) -> dict[str, float]:
    return train_epoch(model, batches(), epoch=number, seed=0, worker=Worker(), on_step=lambda _: None)


def weights(model: CganTrainer) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in model.generator.state_dict().values()])


def test_the_reference_trains_as_the_recipe_does():
    reference = PRESETS["reference"]
    assert (reference.batch_size, reference.noise_dim, reference.precision) == (16, 100, "float32")
    optimizer = trainer(reference).generator_optimizer
    assert optimizer.defaults["lr"] == 2e-4
    assert optimizer.defaults["betas"] == (0.5, 0.999)
    assert trainer(reference).discriminator_optimizer.defaults["lr"] == 2e-4
    assert TrainConfig(dataset_dir="d", run_dir="r", preset="reference").epochs == 50


def test_an_epoch_trains_both_networks_and_gives_finite_losses():
    model = trainer()
    before, discriminator = weights(model), copy.deepcopy(model.discriminator.state_dict())
    losses = epoch(model)
    assert set(losses) == {"loss_D", "loss_G"}
    assert all(np.isfinite(value) for value in losses.values())
    assert (weights(model) != before).any()
    assert any((value != discriminator[name]).any() for name, value in model.discriminator.state_dict().items())


def test_a_saved_state_continues_as_if_never_interrupted():
    whole = trainer()
    epoch(whole, 0)
    state = copy.deepcopy(whole.state_dict())
    epoch(whole, 1)
    resumed = trainer(seed=9)
    resumed.load_state_dict(state)
    epoch(resumed, 1)
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=0)


def test_the_reference_is_heard_through_its_own_weights_the_default_through_their_mean():
    plain, averaged = trainer(), trainer(CganConfig(batch_size=4, ema_decay=0.99))
    epoch(plain)
    epoch(averaged)
    first = "project.weight"
    assert torch.equal(plain.averaged_generator.state_dict()[first], plain.generator.state_dict()[first])
    assert not torch.equal(averaged.averaged_generator.state_dict()[first], averaged.generator.state_dict()[first])


def test_bfloat16_trains_the_same_networks_within_its_rounding():
    exact, fast = trainer(), trainer(CganConfig(batch_size=4, precision="bfloat16"))
    first, second = epoch(exact), epoch(fast)
    assert first["loss_D"] == pytest.approx(second["loss_D"], rel=0.1)
    assert fast.generator.project.weight.dtype == torch.float32


def test_workers_share_the_noise_of_each_batch_without_overlap(monkeypatch):
    seen = []
    monkeypatch.setattr(CganTrainer, "step", lambda _, real, labels, noise: seen.append(noise) or {"loss": real.sum()})
    for worker, num_clips in (
        (Worker(), 4),
        (Worker(rank=0, world_size=2), 2),
        (Worker(rank=1, world_size=2), 2),
    ):
        train_epoch(trainer(), batches(num_clips), epoch=0, seed=0, worker=worker, on_step=lambda _: None)
    alone, first, second = seen[:2], seen[2:4], seen[4:]
    for whole, upper, lower in zip(alone, first, second, strict=True):
        assert torch.equal(whole, torch.cat([upper, lower]))


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="num_workers=3 does not divide the batch of 16 clips"):
        TrainConfig(dataset_dir="d", run_dir="r", num_workers=3)
    with pytest.raises(ValueError, match="ema_decay=1.0 must be from 0 to below 1"):
        CganConfig(ema_decay=1.0)
