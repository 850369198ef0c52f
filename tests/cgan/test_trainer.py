import copy
import dataclasses

import numpy as np
import pytest
import torch

from freqquest.cgan.config import PRESETS, CganConfig, TrainConfig
from freqquest.cgan.distributed import Worker
from freqquest.cgan.trainer import CganTrainer, train_epoch
from tests.cgan.conftest import batches, epoch, small, trainer, weights

BOTH = pytest.mark.parametrize("preset", ["reference", "default"])


def test_the_reference_trains_as_the_recipe_does():
    reference = PRESETS["reference"]
    assert (reference.batch_size, reference.noise_dim, reference.precision) == (16, 100, "float32")
    assert (reference.augment, reference.floor, reference.ema_decay, reference.r1) == (
        False,
        0,
        0,
        0,
    )
    for optimizer in (
        trainer(reference).generator_optimizer,
        trainer(reference).discriminator_optimizer,
    ):
        assert optimizer.defaults["lr"] == 2e-4
        assert optimizer.defaults["betas"] == (0.5, 0.999)
    assert TrainConfig(dataset_dir="d", run_dir="r", preset="reference").effective_epochs == 50


@BOTH
def test_an_epoch_trains_both_networks_and_gives_finite_figures(preset):
    model = trainer(small(preset))
    before = copy.deepcopy((model.generator.state_dict(), model.discriminator.state_dict()))
    figures = epoch(model)
    assert set(figures) == {
        *("loss_D", "loss_G", "accuracy_real", "accuracy_fake", "norm_D", "norm_G"),
        "num_skipped",
    }
    assert all(np.isfinite(value) for value in figures.values())
    assert 0 <= figures["accuracy_real"] <= 1
    for network, old in zip((model.generator, model.discriminator), before, strict=True):
        for name, value in network.named_parameters():
            assert (value != old[name]).any(), name


@BOTH
def test_a_saved_state_continues_as_if_never_interrupted(preset):
    whole = trainer(small(preset))
    epoch(whole, 0)
    state = copy.deepcopy(whole.state_dict())
    epoch(whole, 1)
    resumed = trainer(small(preset), seed=9)
    resumed.load_state_dict(state)
    epoch(resumed, 1)
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=0)


def test_the_reference_is_heard_through_its_own_weights_the_default_through_their_mean():
    plain, averaged = trainer(small("reference")), trainer(small("default"))
    epoch(plain)
    epoch(averaged)
    first = "project.weight"
    assert torch.equal(
        plain.averaged_generator.state_dict()[first], plain.generator.state_dict()[first]
    )
    assert not torch.equal(
        averaged.averaged_generator.state_dict()[first], averaged.generator.state_dict()[first]
    )


@BOTH
def test_bfloat16_trains_the_same_networks_within_its_rounding(preset):
    exact, fast = trainer(small(preset)), trainer(small(preset, precision="bfloat16"))
    first, second = epoch(exact), epoch(fast)
    assert first["loss_D"] == pytest.approx(second["loss_D"], rel=0.1)
    assert fast.generator.project.weight.dtype == torch.float32


@pytest.mark.parametrize("world_size", [2, 3])
def test_workers_share_noise_and_changes_of_each_batch_without_overlap(monkeypatch, world_size):
    seen = []

    def step(_, real, *inputs):
        seen.append(inputs)
        return {"loss": real.sum(), "skipped": torch.zeros(())}

    monkeypatch.setattr(CganTrainer, "step", step)
    for worker in (
        Worker(),
        *(Worker(rank=rank, world_size=world_size) for rank in range(world_size)),
    ):
        epoch(trainer(small("default")), worker=worker)
    alone, parts = seen[:2], seen[2:]
    for number, whole in enumerate(alone):
        for inputs in zip(whole, *parts[number::2], strict=True):
            assert torch.equal(inputs[0], torch.cat(inputs[1:]))


def test_a_step_without_finite_gradients_changes_nothing_and_does_not_count():
    model, spoilt = trainer(small("default")), trainer(small("default"))
    (images, labels), _ = batches(model, Worker())
    good = [(images, labels)] * 4
    bad = [(torch.full_like(images, torch.nan), labels), *good[1:]]

    def train(which, given):
        return train_epoch(which, given, epoch=0, seed=0, worker=Worker(), on_step=lambda _: None)

    assert train(model, good)["num_skipped"] == 0
    figures = train(spoilt, bad)
    assert figures["num_skipped"] == 1
    assert np.isfinite(figures["loss_D"])
    assert torch.isfinite(weights(spoilt)).all()
    before = weights(trainer(small("default")))
    assert not torch.equal(weights(spoilt), before)
    lost = trainer(small("default"))
    with pytest.raises(
        FloatingPointError, match="gradients were not finite in 4 of 4 steps of epoch 1"
    ):
        train(lost, bad[:1] * 4)


@BOTH
def test_a_generator_that_once_gave_no_numbers_is_unharmed(preset):
    model = trainer(small(preset))
    epoch(model)
    images, labels = next(batches(model, Worker()))
    noise = torch.randn(4, model.config.noise_dim)
    changes = torch.zeros(4, 6)
    assert model.step(images, labels, noise * torch.nan, changes, changes)["skipped"] == 1
    assert torch.isfinite(model.generate(noise, labels)).all()
    for network in (model.generator, model.discriminator, model.averaged_generator):
        assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_settings_out_of_range_are_refused():
    for text in ("17", "0", "1:17"):
        with pytest.raises(
            ValueError, match=f"num_workers={text} must be from 1 to 16, the clips of a batch"
        ):
            TrainConfig(dataset_dir="d", run_dir="r", num_workers=text)
    with pytest.raises(ValueError, match="num_workers=3:2 must name the fewest first, as in 2:3"):
        TrainConfig(dataset_dir="d", run_dir="r", num_workers="3:2")
    for text in ("two", "1:", ":2"):
        with pytest.raises(
            ValueError, match=f"num_workers={text} must be a number, or two as in 2:8"
        ):
            TrainConfig(dataset_dir="d", run_dir="r", num_workers=text)
    with pytest.raises(ValueError, match="seed=-1 must be 0 or more"):
        TrainConfig(dataset_dir="d", run_dir="r", seed=-1)
    assert TrainConfig(dataset_dir="d", run_dir="r", num_workers="2:8").workers == (2, 8)
    many = TrainConfig(dataset_dir="d", run_dir="r", num_workers="17", batch_size=64)
    assert many.cgan_config == dataclasses.replace(PRESETS["default"], batch_size=64)
    with pytest.raises(ValueError, match=r"ema_decay=1.0 must be from 0 to below 1"):
        CganConfig(ema_decay=1.0)
    with pytest.raises(
        ValueError, match=r"floor=0.0 must be 0 for the recipe's networks, and above 0"
    ):
        CganConfig(floor=0.0)
